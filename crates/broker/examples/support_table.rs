//! Prints the support table: `cargo run -p streamlings-broker --example support_table > docs/KAFKA_APIS.md`.

fn main() {
    print!("{}", streamlings_broker::support_table());
}
