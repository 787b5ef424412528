//! Whole badges are accepted in every form, and say only what they prove.

#![allow(clippy::unwrap_used, clippy::semicolon_if_nothing_returned)]

mod common;

use common::{at, award, key, sign, signed, verifier};
use streamlings_badge::{
    AwardError, Container, Did, Holder, Key, Picture, Refusal, Trust, bake_png, bake_svg, draw, email_hash,
};

#[test]
fn json_svg_and_png_say_the_same() {
    let signed = signed();
    let files = [
        (Container::Json, signed.to_json().into_bytes(), Picture::None),
        (
            Container::Svg,
            bake_svg(&signed).unwrap().into_bytes(),
            Picture::Matches,
        ),
        (Container::Png, bake_png(&signed).unwrap(), Picture::Matches),
    ];
    for (container, file, picture) in files {
        let verified = verifier().verify(&file).unwrap();
        assert_eq!(verified.container, container);
        assert_eq!(verified.picture, picture);
        assert_eq!(verified.signed, signed);
        assert_eq!(verified.score(), 21);
        assert_eq!(verified.credential.holder_name(), Some("Ada Lovelace"));
        assert!(verified.credential.is_held_by("ada@example.org"));
        assert!(!verified.credential.is_held_by("eve@example.org"));
        assert_eq!(verified.trust, Trust::SelfIssued);
    }
}

#[test]
fn trust_is_a_key_that_was_named() {
    let file = signed().to_json();
    let other = Key::from_secret([8; 32]);
    let trust = |did: &Did| {
        verifier()
            .trusting(did.clone())
            .verify(file.as_bytes())
            .unwrap()
            .trust
    };
    assert_eq!(trust(key().did()), Trust::Trusted);
    assert_eq!(trust(other.did()), Trust::OtherKey);
}

#[test]
fn an_instructor_reissues_a_result_under_another_key() {
    let instructor = Key::from_secret([9; 32]);
    let learners = signed().credential();
    let credential = learners
        .reissue([2; 16], instructor.did(), "Lab course, spring")
        .unwrap();
    let reissued = instructor.sign(credential, at("2026-11-23T08:00:00Z")).unwrap();
    let verified = verifier()
        .trusting(instructor.did().clone())
        .verify(reissued.to_json().as_bytes())
        .unwrap();
    assert_eq!(verified.trust, Trust::Trusted);
    assert_eq!(verified.score(), learners.score());
    assert_ne!(verified.credential.id(), learners.id());
    assert!(
        key()
            .sign(verified.credential, at("2026-11-23T08:00:00Z"))
            .is_err()
    );
}

#[test]
fn a_badge_of_a_later_clock_is_not_yet_valid() {
    let early = streamlings_badge::Verifier::at(at("2026-11-22T17:00:00Z"));
    assert!(matches!(
        early.verify(signed().to_json().as_bytes()),
        Err(Refusal::Date(_))
    ));
}

/// Published did:key vectors (W3C CCG did:key method, Ed25519) and Open Badges 3.0's identity hash.
#[test]
fn identifiers_are_the_published_ones() {
    for did in [
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
        "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
    ] {
        let read: Did = did.parse().unwrap();
        assert_eq!(read.verification_method(), format!("{did}#{}", &did[8..]));
    }
    // P-256 (zDn…), another method, a changed digit that is no point or another spelling.
    for wrong in [
        "did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv",
        "did:web:example.org",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",
        "did:key:z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp#x",
        "did:key:z",
    ] {
        assert!(wrong.parse::<Did>().is_err(), "{wrong}");
    }
    // Of small order: its "signatures" hold for any text.
    let weak = format!(
        "did:key:z{}",
        bs58::encode([&[0xed, 1, 1][..], &[0; 31]].concat()).into_string()
    );
    assert!(weak.parse::<Did>().is_err());
    assert_eq!(
        email_hash("a0@b.c", "deadsea"),
        "sha256$03317142787df7dcec5938355eea02786473f0f4b1fbfd7e7d38e96316aba43a"
    );
}

#[test]
fn a_key_survives_its_file_and_hides_its_secret() {
    let key = key();
    let text = key.secret_multibase();
    assert_eq!(Key::from_multibase(&text).unwrap().did(), key.did());
    assert!(!format!("{key:?}").contains(text.as_str()));
}

#[test]
fn what_nobody_could_read_is_not_awarded() {
    let refused = |name: &str| {
        let mut award = award();
        award.holder = Holder {
            name: Some(name.into()),
            email: None,
        };
        award.credential(key().did()).unwrap_err()
    };
    for name in [
        "",
        " Ada",
        "Ada\u{1b}[2J",
        "Ada\nLovelace",
        "Ada\u{202e}",
        "A\u{200b}da",
        &"x".repeat(81),
    ] {
        assert!(matches!(refused(name), AwardError::Text { .. }), "{name:?}");
    }
    let mut award = award();
    award.holder = Holder {
        name: None,
        email: None,
    };
    assert_eq!(award.credential(key().did()), Err(AwardError::NoHolder));
    award = common::award();
    award.score = 18;
    assert!(matches!(
        award.credential(key().did()),
        Err(AwardError::Score { .. })
    ));
    award = common::award();
    award.holder.email.as_mut().unwrap().address = "not an address".into();
    assert_eq!(award.credential(key().did()), Err(AwardError::Email));
}

#[test]
fn any_name_fits_the_picture_and_stays_text() {
    for name in [
        "</text><script>alert(1)</script>",
        "]]></openbadges:credential>",
        "Wolfeschlegelsteinhausenbergerdorff-Wolfeschlegelsteinhausenbergerdorff Hubert X",
        "Łukasz Żółć",
        "Ελένη Αλεξάνδρου",
        "Юлия Крылова",
        "\"&'<>",
    ] {
        let mut award = award();
        award.holder.name = Some(name.into());
        let signed = sign(&award);
        let svg = bake_svg(&signed).unwrap();
        assert_eq!(
            verifier()
                .verify(svg.as_bytes())
                .unwrap()
                .credential
                .holder_name(),
            Some(name)
        );
        let picture = draw(&signed.credential());
        let document = roxmltree::Document::parse(&picture).unwrap();
        assert!(
            document
                .descendants()
                .all(|node| node.tag_name().name() != "script")
        );
        assert!(
            document
                .descendants()
                .any(|node| node.tag_name().name() == "title" && node.text().unwrap().contains(name))
        );
    }
}

#[test]
fn a_name_beyond_the_bundled_font_still_verifies() {
    let mut award = award();
    award.holder.name = Some("王小明".into());
    let png = bake_png(&sign(&award)).unwrap();
    let verified = verifier().verify(&png).unwrap();
    assert_eq!(verified.picture, Picture::Unchecked);
    assert_eq!(verified.credential.holder_name(), Some("王小明"));
}

/// Badges that were issued before must stay valid: a changed drawing, font, context or field order shows here. Never
/// write these files again; a new design comes beside the old one.
#[test]
fn badges_of_the_first_design_stay_valid() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/issued");
    for (file, picture) in [
        ("badge.json", Picture::None),
        ("badge.svg", Picture::Matches),
        ("badge.png", Picture::Matches),
    ] {
        let verified = verifier()
            .verify(&std::fs::read(folder.join(file)).unwrap())
            .unwrap();
        assert_eq!((verified.score(), verified.picture), (21, picture), "{file}");
        assert_eq!(verified.credential.issuer(), key().did(), "{file}");
    }
}
