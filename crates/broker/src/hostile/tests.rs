use super::{frames, requests, roles};
use crate::api::TABLE;

#[test]
fn every_field_has_its_role() {
    for api in TABLE {
        let roles = roles::of(api.key);
        assert!(
            roles.is_empty() || roles.len() == frames::leaves(api.shape),
            "{}: {} roles",
            api.name(),
            roles.len()
        );
    }
}

#[test]
fn no_row_of_requests_breaks_the_cluster() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regression/requests");
    let mut played = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        requests(&std::fs::read(&path).unwrap());
        played += 1;
    }
    assert!(played >= 40, "{played} inputs: the corpus is not where it was");
}
