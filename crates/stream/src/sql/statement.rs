//! Statements: `sqlparser` reads queries, expressions and types; the frame of Flink's DDL is read here.

use std::collections::BTreeMap;

use sqlparser::ast::{DataType, Expr, Ident, ObjectName, Query};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::FlinkDialect;
use crate::error::{Place, SqlError, SqlResult};

/// The options of a WITH clause, each with its place.
pub(crate) type Options = BTreeMap<String, (String, Span)>;

/// A statement and where it starts.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) statement: Statement,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Statement {
    CreateTable(Box<CreateTable>),
    CreateView {
        name: Ident,
        columns: Vec<Ident>,
        query: Box<Query>,
        if_not_exists: bool,
    },
    Drop {
        name: Ident,
        if_exists: bool,
    },
    Insert(Box<Insert>),
    Query(Box<Query>),
    Set {
        key: String,
        value: String,
    },
    Reset {
        key: Option<String>,
    },
    Explain(Box<Parsed>),
    ShowTables,
    Describe {
        name: Ident,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct CreateTable {
    pub(crate) name: Ident,
    pub(crate) columns: Vec<ColumnDecl>,
    pub(crate) watermark: Option<(Ident, Expr)>,
    pub(crate) primary_key: Vec<Ident>,
    pub(crate) options: Options,
    pub(crate) if_not_exists: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct ColumnDecl {
    pub(crate) name: Ident,
    pub(crate) kind: ColumnKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ColumnKind {
    Physical {
        data_type: DataType,
        not_null: bool,
    },
    Computed(Box<Expr>),
    Metadata {
        data_type: DataType,
        from: Option<String>,
        is_virtual: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Insert {
    pub(crate) table: Ident,
    pub(crate) columns: Vec<Ident>,
    pub(crate) query: Box<Query>,
}

/// Reads a whole file.
pub(crate) fn parse(text: &str) -> SqlResult<Vec<Parsed>> {
    let tokens = Tokenizer::new(&FlinkDialect, text)
        .tokenize_with_location()
        .map_err(|error| SqlError {
            message: error.message,
            help: Some("a string ends with ', a name in backquotes with `".into()),
            place: Place::of(error.location),
        })?;
    let end = end_of(text);
    let mut reader = Reader {
        parser: Parser::new(&FlinkDialect).with_tokens_with_locations(tokens),
    };
    let mut statements = Vec::new();
    loop {
        while reader.parser.consume_token(&Token::SemiColon) {}
        let first = reader.parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let statement = reader.statement().map_err(|error| error.or_place(end))?;
        statements.push(Parsed {
            statement,
            span: first.span,
        });
        let next = reader.parser.peek_token();
        if next.token != Token::SemiColon && next.token != Token::EOF {
            return Err(
                SqlError::new(format!("the statement should end before '{}'", next.token))
                    .help("put a ; between two statements")
                    .at(next.span),
            );
        }
    }
}

fn end_of(text: &str) -> Place {
    let line = text.split('\n').count().max(1);
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place {
        line: line as u64,
        column: column as u64,
    }
}

impl SqlError {
    fn or_place(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }
}

impl From<ParserError> for SqlError {
    /// The parser words its errors as `Expected: …, found: … at Line: 1, Column: 5`.
    fn from(error: ParserError) -> Self {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
            ParserError::RecursionLimitExceeded => {
                return Self::new("the expression is nested too deeply").help("split it with a view");
            }
        };
        let Some((message, place)) = text.rsplit_once(" at Line: ") else {
            return Self::new(lower_first(&text));
        };
        let place = place.split_once(", Column: ").and_then(|(line, column)| {
            let location = Location::new(line.parse().ok()?, column.parse().ok()?);
            Place::of(location)
        });
        let message = message
            .replacen("Expected: ", "expected ", 1)
            .replacen(", found: ", " instead of ", 1);
        Self {
            message: lower_first(&message).replace("instead of EOF", "before the end of the text"),
            help: None,
            place,
        }
    }
}

fn lower_first(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    if word.len() > 1 && word.chars().all(char::is_uppercase) {
        // A word of SQL.
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

struct Reader<'a> {
    parser: Parser<'a>,
}

impl Reader<'_> {
    fn statement(&mut self) -> SqlResult<Statement> {
        let first = self.parser.peek_token();
        let Some(word) = word_of(&first) else {
            return Err(
                SqlError::new(format!("a statement can't start with '{}'", first.token)).at(first.span),
            );
        };
        match word.value.to_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" => Ok(Statement::Query(self.parser.parse_query()?)),
            "CREATE" => self.create(),
            "INSERT" => self.insert(),
            "SET" => self.set(),
            "RESET" => self.reset(),
            "DROP" => self.drop_statement(),
            "EXPLAIN" => self.explain(),
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" => {
                self.parser.next_token();
                Ok(Statement::Describe { name: self.name()? })
            }
            "EXECUTE" | "BEGIN" | "STATEMENT" => Err(SqlError::unsupported("a statement set")
                .help("write each INSERT INTO as a statement of its own: each becomes a job")
                .at(first.span)),
            "UPDATE" | "DELETE" | "ALTER" | "USE" | "CALL" | "ANALYZE" | "LOAD" | "ADD" | "TRUNCATE"
            | "REPLACE" => Err(SqlError::unsupported(word.value.to_uppercase()).at(first.span)),
            other => Err(SqlError::new(format!("no statement starts with {other}"))
                .did_you_mean(
                    other,
                    [
                        "SELECT", "CREATE", "INSERT", "SET", "DROP", "EXPLAIN", "SHOW", "DESCRIBE",
                    ],
                )
                .at(first.span)),
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = is_word(&self.parser.peek_token(), word);
        if found {
            self.parser.next_token();
        }
        found
    }

    fn expect(&mut self, word: &str) -> SqlResult<()> {
        if self.word(word) {
            return Ok(());
        }
        let found = self.parser.peek_token();
        Err(SqlError::new(format!("expected {word} instead of '{}'", found.token)).at(found.span))
    }

    /// A table's name; catalogs and databases are Flink's, the lab has one.
    fn name(&mut self) -> SqlResult<Ident> {
        let name = self.parser.parse_object_name(false)?;
        last_part(&name)
    }

    fn string(&mut self) -> SqlResult<(String, Span)> {
        let token = self.parser.next_token();
        match token.token {
            Token::SingleQuotedString(text) => Ok((text, token.span)),
            other => Err(
                SqlError::new(format!("expected a text in single quotes instead of '{other}'"))
                    .at(token.span),
            ),
        }
    }

    fn if_words(&mut self, words: &[&str]) -> SqlResult<bool> {
        if !self.word("IF") {
            return Ok(false);
        }
        for word in words {
            self.expect(word)?;
        }
        Ok(true)
    }

    fn create(&mut self) -> SqlResult<Statement> {
        self.expect("CREATE")?;
        if self.word("OR") {
            self.expect("REPLACE")?;
        }
        self.word("TEMPORARY");
        let token = self.parser.peek_token();
        if self.word("TABLE") {
            return self.create_table();
        }
        if self.word("VIEW") {
            let if_not_exists = self.if_words(&["NOT", "EXISTS"])?;
            let name = self.name()?;
            let columns = if self.parser.peek_token().token == Token::LParen {
                self.names()?
            } else {
                Vec::new()
            };
            self.expect("AS")?;
            let query = self.parser.parse_query()?;
            return Ok(Statement::CreateView {
                name,
                columns,
                query,
                if_not_exists,
            });
        }
        Err(SqlError::unsupported(format!("CREATE {}", token.token))
            .help("the lab's engine knows CREATE TABLE and CREATE VIEW")
            .at(token.span))
    }

    fn create_table(&mut self) -> SqlResult<Statement> {
        let if_not_exists = self.if_words(&["NOT", "EXISTS"])?;
        let mut table = CreateTable {
            name: self.name()?,
            columns: Vec::new(),
            watermark: None,
            primary_key: Vec::new(),
            options: Options::new(),
            if_not_exists,
        };
        self.parser.expect_token(&Token::LParen)?;
        loop {
            self.table_item(&mut table)?;
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.parser.expect_token(&Token::RParen)?;
        if self.word("COMMENT") {
            self.string()?;
        }
        let token = self.parser.peek_token();
        if self.word("PARTITIONED") || self.word("DISTRIBUTED") || self.word("LIKE") || self.word("AS") {
            return Err(SqlError::unsupported(format!("{} in CREATE TABLE", token.token))
                .help("declare the columns and the WITH options")
                .at(token.span));
        }
        if self.word("WITH") {
            table.options = self.options()?;
        }
        Ok(Statement::CreateTable(Box::new(table)))
    }

    fn table_item(&mut self, table: &mut CreateTable) -> SqlResult<()> {
        let first = self.parser.peek_token();
        if is_word(&first, "WATERMARK") && is_word(&self.parser.peek_nth_token(1), "FOR") {
            self.parser.next_token();
            self.parser.next_token();
            let column = self.parser.parse_identifier()?;
            self.expect("AS")?;
            let delay = self.parser.parse_expr()?;
            if table.watermark.replace((column, delay)).is_some() {
                return Err(SqlError::new("a table has one watermark").at(first.span));
            }
            return Ok(());
        }
        if self.word("CONSTRAINT") {
            self.parser.parse_identifier()?;
        }
        if is_word(&self.parser.peek_token(), "PRIMARY") && is_word(&self.parser.peek_nth_token(1), "KEY") {
            self.parser.next_token();
            self.parser.next_token();
            table.primary_key = self.names()?;
            return self.not_enforced(first.span);
        }
        let column = self.column(table)?;
        table.columns.push(column);
        Ok(())
    }

    fn not_enforced(&mut self, span: Span) -> SqlResult<()> {
        if self.word("NOT") {
            return self.expect("ENFORCED");
        }
        Err(SqlError::new("Flink does not check primary keys")
            .help("write PRIMARY KEY (…) NOT ENFORCED")
            .at(span))
    }

    fn column(&mut self, table: &mut CreateTable) -> SqlResult<ColumnDecl> {
        let name = self.parser.parse_identifier()?;
        if name.quote_style.is_none() && is_reserved(&name.value) {
            return Err(
                SqlError::new(format!("{} is a reserved word in Flink's SQL", name.value))
                    .help(format!(
                        "write `{0}` in backquotes, here and wherever the column is named",
                        name.value
                    ))
                    .at(name.span),
            );
        }
        if self.word("AS") {
            let kind = ColumnKind::Computed(Box::new(self.parser.parse_expr()?));
            self.column_comment()?;
            return Ok(ColumnDecl { name, kind });
        }
        let data_type = self.parser.parse_data_type()?;
        if self.word("METADATA") {
            let from = if self.word("FROM") {
                Some(self.string()?.0)
            } else {
                None
            };
            let is_virtual = self.word("VIRTUAL");
            self.column_comment()?;
            return Ok(ColumnDecl {
                name,
                kind: ColumnKind::Metadata {
                    data_type,
                    from,
                    is_virtual,
                },
            });
        }
        let mut not_null = false;
        loop {
            let token = self.parser.peek_token();
            if self.word("NOT") {
                self.expect("NULL")?;
                not_null = true;
            } else if self.word("NULL") {
            } else if self.word("PRIMARY") {
                self.expect("KEY")?;
                table.primary_key = vec![name.clone()];
                self.not_enforced(token.span)?;
            } else {
                break;
            }
        }
        self.column_comment()?;
        Ok(ColumnDecl {
            name,
            kind: ColumnKind::Physical { data_type, not_null },
        })
    }

    fn column_comment(&mut self) -> SqlResult<()> {
        if self.word("COMMENT") {
            self.string()?;
        }
        Ok(())
    }

    fn names(&mut self) -> SqlResult<Vec<Ident>> {
        self.parser.expect_token(&Token::LParen)?;
        let names = self.parser.parse_comma_separated(Parser::parse_identifier)?;
        self.parser.expect_token(&Token::RParen)?;
        Ok(names)
    }

    fn options(&mut self) -> SqlResult<Options> {
        let mut options = Options::new();
        self.parser.expect_token(&Token::LParen)?;
        loop {
            let (key, span) = self.string()?;
            self.parser.expect_token(&Token::Eq)?;
            let (value, _) = self.string()?;
            if options.insert(key.clone(), (value, span)).is_some() {
                return Err(SqlError::new(format!("the option '{key}' is given twice")).at(span));
            }
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.parser.expect_token(&Token::RParen)?;
        Ok(options)
    }

    fn insert(&mut self) -> SqlResult<Statement> {
        self.expect("INSERT")?;
        let token = self.parser.peek_token();
        if self.word("OVERWRITE") {
            return Err(SqlError::new("a topic can't be overwritten")
                .help("write INSERT INTO")
                .at(token.span));
        }
        self.expect("INTO")?;
        let table = self.name()?;
        let columns = if self.parser.peek_token().token == Token::LParen
            && !is_word(&self.parser.peek_nth_token(1), "SELECT")
        {
            self.names()?
        } else {
            Vec::new()
        };
        let query = self.parser.parse_query()?;
        Ok(Statement::Insert(Box::new(Insert {
            table,
            columns,
            query,
        })))
    }

    fn set(&mut self) -> SqlResult<Statement> {
        let start = self.parser.peek_token().span;
        self.expect("SET")?;
        if !matches!(self.parser.peek_token().token, Token::SingleQuotedString(_)) {
            return Err(SqlError::new("SET needs its key and value in single quotes")
                .help("write SET 'key' = 'value';")
                .at(start));
        }
        let key = self.string()?.0;
        self.parser.expect_token(&Token::Eq)?;
        Ok(Statement::Set {
            key,
            value: self.string()?.0,
        })
    }

    fn reset(&mut self) -> SqlResult<Statement> {
        self.expect("RESET")?;
        let key = match self.parser.peek_token().token {
            Token::SingleQuotedString(_) => Some(self.string()?.0),
            _ => None,
        };
        Ok(Statement::Reset { key })
    }

    fn drop_statement(&mut self) -> SqlResult<Statement> {
        self.expect("DROP")?;
        self.word("TEMPORARY");
        let token = self.parser.peek_token();
        if !self.word("TABLE") && !self.word("VIEW") {
            return Err(SqlError::unsupported(format!("DROP {}", token.token)).at(token.span));
        }
        let if_exists = self.if_words(&["EXISTS"])?;
        Ok(Statement::Drop {
            name: self.name()?,
            if_exists,
        })
    }

    fn explain(&mut self) -> SqlResult<Statement> {
        self.expect("EXPLAIN")?;
        if self.word("PLAN") {
            self.expect("FOR")?;
        }
        let span = self.parser.peek_token().span;
        let statement = self.statement()?;
        if !matches!(statement, Statement::Query(_) | Statement::Insert(_)) {
            return Err(SqlError::new("EXPLAIN takes a SELECT or an INSERT INTO").at(span));
        }
        Ok(Statement::Explain(Box::new(Parsed { statement, span })))
    }

    fn show(&mut self) -> SqlResult<Statement> {
        self.expect("SHOW")?;
        let token = self.parser.peek_token();
        if self.word("TABLES") || self.word("VIEWS") {
            return Ok(Statement::ShowTables);
        }
        Err(SqlError::unsupported(format!("SHOW {}", token.token))
            .help("there is SHOW TABLES")
            .at(token.span))
    }
}

fn last_part(name: &ObjectName) -> SqlResult<Ident> {
    name.0
        .last()
        .and_then(|part| part.as_ident().cloned())
        .ok_or_else(|| SqlError::new("expected a name"))
}

fn word_of(token: &TokenWithSpan) -> Option<&Word> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

/// Words that Flink's parser takes for no name, of those that somebody might call a column.
const RESERVED: &[&str] = &[
    "ABS",
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "AT",
    "AVG",
    "BETWEEN",
    "BIGINT",
    "BINARY",
    "BOOLEAN",
    "BOTH",
    "BY",
    "CALL",
    "CASE",
    "CAST",
    "CHAR",
    "CHARACTER",
    "CHECK",
    "COLLECT",
    "COLUMN",
    "COMMIT",
    "CONDITION",
    "CONNECT",
    "CONTAINS",
    "CONVERT",
    "COUNT",
    "CREATE",
    "CROSS",
    "CUBE",
    "CURRENT",
    "CURSOR",
    "CYCLE",
    "DATE",
    "DAY",
    "DECIMAL",
    "DEFAULT",
    "DEFINE",
    "DELETE",
    "DESCRIBE",
    "DISTINCT",
    "DOUBLE",
    "DROP",
    "EACH",
    "ELEMENT",
    "ELSE",
    "EMPTY",
    "END",
    "EQUALS",
    "ESCAPE",
    "EVERY",
    "EXCEPT",
    "EXECUTE",
    "EXISTS",
    "EXTERNAL",
    "EXTRACT",
    "FALSE",
    "FETCH",
    "FILTER",
    "FLOAT",
    "FLOOR",
    "FOR",
    "FREE",
    "FROM",
    "FULL",
    "FUNCTION",
    "GET",
    "GLOBAL",
    "GRANT",
    "GROUP",
    "HAVING",
    "HOLD",
    "HOUR",
    "IDENTITY",
    "IN",
    "INITIAL",
    "INNER",
    "INSERT",
    "INT",
    "INTEGER",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LAG",
    "LANGUAGE",
    "LARGE",
    "LAST_VALUE",
    "LEAD",
    "LEADING",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOCAL",
    "LOWER",
    "MATCH",
    "MATCHES",
    "MAX",
    "MEASURES",
    "MEMBER",
    "METHOD",
    "MIN",
    "MINUS",
    "MINUTE",
    "MOD",
    "MODULE",
    "MONTH",
    "NATURAL",
    "NEW",
    "NO",
    "NONE",
    "NOT",
    "NULL",
    "NUMERIC",
    "OF",
    "OFFSET",
    "OLD",
    "OMIT",
    "ON",
    "ONE",
    "ONLY",
    "OPEN",
    "OR",
    "ORDER",
    "OUT",
    "OUTER",
    "OVER",
    "PARAMETER",
    "PARTITION",
    "PATTERN",
    "PER",
    "PERCENT",
    "PERIOD",
    "PORTION",
    "POSITION",
    "POWER",
    "PRECISION",
    "PRIMARY",
    "RANGE",
    "RANK",
    "REAL",
    "REF",
    "RELEASE",
    "RESET",
    "RESULT",
    "RETURN",
    "REVOKE",
    "RIGHT",
    "ROLLBACK",
    "ROW",
    "ROWS",
    "SCOPE",
    "SCROLL",
    "SEARCH",
    "SECOND",
    "SELECT",
    "SET",
    "SHOW",
    "SIMILAR",
    "SOME",
    "START",
    "STATIC",
    "STREAM",
    "SUM",
    "SYMMETRIC",
    "SYSTEM",
    "TABLE",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TO",
    "TRAILING",
    "TRIGGER",
    "TRIM",
    "TRUE",
    "UNION",
    "UNIQUE",
    "UNKNOWN",
    "UPDATE",
    "UPPER",
    "USER",
    "USING",
    "VALUE",
    "VALUES",
    "VARCHAR",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
    "WITHOUT",
    "YEAR",
];

fn is_reserved(word: &str) -> bool {
    RESERVED
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}

fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    word_of(token).is_some_and(|word| word.value.eq_ignore_ascii_case(expected))
}
