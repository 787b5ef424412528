//! Files that are made to cost: each is refused by what is cheap to see.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod common;

use common::{chunk, chunks, png_of, signed, text_chunk, verifier};
use streamlings_badge::{MAX_CREDENTIAL_BYTES, MAX_FILE_BYTES, Refusal, bake_png};

#[test]
fn a_file_or_a_credential_beyond_its_bound_is_not_read() {
    let huge = vec![b' '; MAX_FILE_BYTES + 1];
    assert!(matches!(verifier().verify(&huge), Err(Refusal::FileTooLarge)));
    let long = format!("{}{}", signed().to_json(), " ".repeat(MAX_CREDENTIAL_BYTES));
    assert!(matches!(
        verifier().verify(long.as_bytes()),
        Err(Refusal::CredentialTooLarge)
    ));
    let array = format!("{{\"proof\":[{}1]}}", "1,".repeat(MAX_FILE_BYTES / 4));
    assert!(matches!(
        verifier().verify(array.as_bytes()),
        Err(Refusal::CredentialTooLarge)
    ));
}

#[test]
fn deep_nesting_is_refused_without_descending() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = MAX_CREDENTIAL_BYTES / 8;
        let deep = format!("{{\"proof\":{}1{}}}", open.repeat(depth), close.repeat(depth));
        assert!(verifier().verify(deep.as_bytes()).is_err());
    }
    let depth = MAX_FILE_BYTES / 8;
    let deep = format!("<svg>{}{}</svg>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(verifier().verify(deep.as_bytes()).is_err());
}

#[test]
fn entities_are_not_expanded() {
    let laughs = "<!DOCTYPE svg [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
                  <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><svg>&c;</svg>";
    assert!(matches!(
        verifier().verify(laughs.as_bytes()),
        Err(Refusal::NotABadge(_))
    ));
}

#[test]
fn a_png_can_not_ask_for_memory() {
    let png = bake_png(&signed()).unwrap();
    let parts = chunks(&png);
    let mut giant = parts.clone();
    giant[0] = chunk(
        b"IHDR",
        &[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 8, 6, 0, 0, 0],
    );
    assert!(matches!(
        verifier().verify(&png_of(&giant)),
        Err(Refusal::Picture(_))
    ));
    let mut long = png_of(&parts[..1]);
    long.extend_from_slice(b"\xff\xff\xff\xffIDATx");
    assert!(matches!(verifier().verify(&long), Err(Refusal::Picture(_))));
    let mut text = parts.clone();
    text[1] = text_chunk(&"x".repeat(MAX_CREDENTIAL_BYTES + 1));
    assert!(matches!(
        verifier().verify(&png_of(&text)),
        Err(Refusal::CredentialTooLarge)
    ));
}

/// Pixels that inflate to far more than the picture has room for.
#[test]
fn a_zip_bomb_ends_at_the_pictures_size() {
    let png = bake_png(&signed()).unwrap();
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 1000, 20_000);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; 80_000_000]).unwrap();
    writer.finish().unwrap();
    let mut parts = chunks(&png);
    parts.retain(|part| &part[4..8] != b"IDAT");
    let at = parts.len() - 1;
    parts.splice(
        at..at,
        chunks(&bomb).into_iter().filter(|part| &part[4..8] == b"IDAT"),
    );
    assert!(verifier().verify(&png_of(&parts)).is_err());
}
