//! Baking: a credential inside its own picture (Open Badges 3.0, section 5.3), and out again.

use crate::credential::SignedCredential;
use crate::picture::{self, DrawError, SIDE_PIXELS};
use crate::verify::Refusal;
use crate::{MAX_CREDENTIAL_BYTES, MAX_FILE_BYTES};

/// Namespace of the baked SVG element.
const SVG_NAMESPACE: &str = "https://purl.imsglobal.org/ob/v3p0";
/// Keyword of the baked PNG chunk.
const KEYWORD: &[u8] = b"openbadgecredential";
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What kind of file a badge came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// The credential by itself.
    Json,
    /// Baked into an SVG.
    Svg,
    /// Baked into a PNG.
    Png,
}

/// The badge as an SVG with the credential inside.
pub fn bake_svg(signed: &SignedCredential) -> Result<String, DrawError> {
    let svg = picture::draw(&signed.credential());
    // `draw` opens with the one <svg …> tag, whose attributes hold no '>'.
    let inside = svg.find('>').map_or(svg.len(), |at| at + 1);
    let json = compact(signed).replace("]]>", "]]\\u003e");
    let (open, rest) = svg.split_at(inside);
    Ok(format!(
        "{open}\n<openbadges:credential><![CDATA[{json}]]></openbadges:credential>{rest}"
    ))
}

/// The badge as a PNG with the credential inside.
pub fn bake_png(signed: &SignedCredential) -> Result<Vec<u8>, DrawError> {
    let mut png = picture::draw_png(&signed.credential())?;
    // keyword, no compression, no language, no translated keyword
    let mut data = [KEYWORD, &[0, 0, 0, 0, 0]].concat();
    data.extend_from_slice(compact(signed).as_bytes());
    // Right after the header: 8 bytes of signature and 25 of IHDR.
    png.splice(33..33, chunk(*b"iTXt", &data));
    Ok(png)
}

fn compact(signed: &SignedCredential) -> String {
    // Structs of strings and arrays have no way to fail.
    serde_json::to_string(signed).unwrap_or_default()
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&kind);
    sum.update(data);
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend_from_slice(&kind);
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(&sum.finalize().to_be_bytes());
    chunk
}

/// The credential's JSON text in a file, and what kind of file it is. Nothing in it is verified yet.
pub fn unbake(file: &[u8]) -> Result<(Container, String), Refusal> {
    if file.len() > MAX_FILE_BYTES {
        return Err(Refusal::FileTooLarge);
    }
    if file.starts_with(PNG_SIGNATURE) {
        return unbake_png(file).map(|json| (Container::Png, json));
    }
    let text = std::str::from_utf8(file).map_err(|_| Refusal::NotABadge("it is no PNG, SVG or JSON file"))?;
    let (container, json) = if text.trim_start().starts_with('<') {
        (Container::Svg, unbake_svg(text)?)
    } else if text.trim_start().starts_with('{') {
        (Container::Json, text.to_owned())
    } else {
        return Err(Refusal::NotABadge("it is no PNG, SVG or JSON file"));
    };
    if json.len() > MAX_CREDENTIAL_BYTES {
        return Err(Refusal::CredentialTooLarge);
    }
    Ok((container, json))
}

fn unbake_svg(text: &str) -> Result<String, Refusal> {
    let document =
        roxmltree::Document::parse(text).map_err(|_| Refusal::NotABadge("it is no well-formed SVG"))?;
    let root = document.root_element();
    let mut found = document
        .descendants()
        .filter(|node| node.tag_name().name() == "credential");
    let element = found
        .next()
        .ok_or(Refusal::NotABadge("no badge is baked into it"))?;
    if found.next().is_some() {
        return Err(Refusal::Several("more than one credential is baked into it"));
    }
    if element.tag_name().namespace() != Some(SVG_NAMESPACE) {
        return Err(Refusal::Picture(
            "its credential is not in the namespace of Open Badges 3.0",
        ));
    }
    if element.parent() != Some(root) || element.attributes().len() > 0 {
        return Err(Refusal::Picture(
            "its credential is not where Open Badges 3.0 bakes it",
        ));
    }
    if !element.children().all(|child| child.is_text()) {
        return Err(Refusal::Picture("its credential holds more than text"));
    }
    Ok(element.children().filter_map(|child| child.text()).collect())
}

fn unbake_png(file: &[u8]) -> Result<String, Refusal> {
    let mut rest = &file[PNG_SIGNATURE.len()..];
    let mut json = None;
    let mut order = Vec::new();
    while !rest.is_empty() {
        let (kind, data, after) = next_chunk(rest)?;
        match &kind {
            b"IHDR" => check_header(data)?,
            b"iTXt" => {
                if json.is_some() {
                    return Err(Refusal::Several("more than one text is baked into it"));
                }
                json = Some(text_of(data)?);
            }
            b"IDAT" | b"IEND" => {}
            b"tEXt" | b"zTXt" if data.starts_with(KEYWORD) => {
                return Err(Refusal::Picture("its credential is in a chunk of the wrong kind"));
            }
            _ => return Err(Refusal::Picture("it has chunks that a badge is not made with")),
        }
        if order.last() != Some(&kind) || &kind != b"IDAT" {
            order.push(kind);
        }
        rest = after;
    }
    let json = json.ok_or(Refusal::NotABadge("no badge is baked into it"))?;
    if order != [*b"IHDR", *b"iTXt", *b"IDAT", *b"IEND"] {
        return Err(Refusal::Picture("its chunks are not in the order of a badge"));
    }
    Ok(json)
}

/// Kind and data of the first chunk, and what comes after it.
type Chunk<'a> = ([u8; 4], &'a [u8], &'a [u8]);

fn next_chunk(rest: &[u8]) -> Result<Chunk<'_>, Refusal> {
    const CUT: Refusal = Refusal::Picture("it is cut off");
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let (kind, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let (data, rest) = rest
        .split_at_checked(u32::from_be_bytes(*length) as usize)
        .ok_or(CUT)?;
    let (sum, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(kind);
    hasher.update(data);
    if hasher.finalize() != u32::from_be_bytes(*sum) {
        return Err(Refusal::Picture("a checksum in it is wrong"));
    }
    Ok((*kind, data, rest))
}

/// The header that `draw_png` writes, and no other: decoding its pixels is bounded.
fn check_header(data: &[u8]) -> Result<(), Refusal> {
    let side = SIDE_PIXELS.to_be_bytes();
    // 8 bits, RGBA, deflate, adaptive filters, not interlaced
    if data == [&side[..], &side[..], &[8, 6, 0, 0, 0]].concat() {
        Ok(())
    } else {
        Err(Refusal::Picture("it has not the size of a badge"))
    }
}

fn text_of(data: &[u8]) -> Result<String, Refusal> {
    let rest = data
        .strip_prefix(KEYWORD)
        .and_then(|rest| rest.strip_prefix(&[0]));
    let rest = rest.ok_or(Refusal::Picture("it has a text that a badge is not made with"))?;
    let text = match rest {
        [0, 0, 0, 0, text @ ..] => text,
        [1, ..] => {
            return Err(Refusal::Picture(
                "its credential is compressed, which Open Badges 3.0 forbids",
            ));
        }
        _ => {
            return Err(Refusal::Picture(
                "its credential's chunk is not as Open Badges 3.0 bakes it",
            ));
        }
    };
    if text.len() > MAX_CREDENTIAL_BYTES {
        return Err(Refusal::CredentialTooLarge);
    }
    String::from_utf8(text.to_vec()).map_err(|_| Refusal::Picture("its credential is not UTF-8"))
}
