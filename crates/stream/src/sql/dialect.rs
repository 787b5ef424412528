//! What Flink's SQL has and the standard has not, as hooks of `sqlparser`.

use sqlparser::ast::{Expr, Ident, ObjectNamePart};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Flink's dialect: backquoted names, `TABLE t` as an argument, named arguments with `=>`.
#[derive(Debug)]
pub(crate) struct FlinkDialect;

impl Dialect for FlinkDialect {
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_' || c == '$'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_' || c == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_named_fn_args_with_rarrow_operator(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    /// `TABLE rides` as a function's argument, which the parser has no expression for.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let next = parser.peek_token();
        let Token::Word(word) = &next.token else {
            return None;
        };
        if word.keyword != Keyword::TABLE {
            return None;
        }
        parser.next_token();
        Some(parser.parse_object_name(false).map(|name| {
            Expr::Prefixed {
                prefix: Ident::with_span(next.span, "TABLE"),
                value: Box::new(Expr::CompoundIdentifier(
                    name.0
                        .into_iter()
                        .filter_map(|part| match part {
                            ObjectNamePart::Identifier(ident) => Some(ident),
                            ObjectNamePart::Function(_) => None,
                        })
                        .collect(),
                )),
            }
        }))
    }
}
