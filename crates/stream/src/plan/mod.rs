//! From statements to jobs: the catalog, the options of tables, the plan of a query.

pub(crate) mod catalog;
pub(crate) mod options;
pub(crate) mod query;

pub use catalog::TableKind;
