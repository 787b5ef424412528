//! A cluster on its own: `cargo run --example serve -- [PORT] [FOLDER]`, until its standard input ends.

use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut builder = streamlings_broker::Cluster::builder();
    if let Some(port) = args.next() {
        builder = builder.port(port.parse()?);
    }
    if let Some(folder) = args.next() {
        builder = builder.data_dir(folder);
    }
    let cluster = builder.start()?;
    println!("{}", cluster.bootstrap());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    cluster.shutdown();
    Ok(())
}
