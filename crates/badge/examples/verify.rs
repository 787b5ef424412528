//! Verifies badge files: `cargo run -p streamlings-badge --example verify -- FILE…`. One line a file: `ok FILE` or
//! `refused FILE: why`.

use std::error::Error;
use std::time::SystemTime;

use streamlings_badge::Verifier;

fn main() -> Result<(), Box<dyn Error>> {
    let verifier = Verifier::at(SystemTime::now().try_into()?);
    for name in std::env::args().skip(1) {
        match verifier.verify(&std::fs::read(&name)?) {
            Ok(_) => println!("ok {name}"),
            Err(refusal) => println!("refused {name}: {refusal}"),
        }
    }
    Ok(())
}
