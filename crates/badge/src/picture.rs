//! The picture: partitions flow into a ring with one segment a question, and leave it as one stream.
//!
//! It is a function of the credential alone, so that a verifier can draw it again and see whether the file's picture
//! says what its credential says. **The drawing is therefore frozen:** a change of a pixel makes badges that were
//! issued before look altered. A new design comes beside this one, as another number in `data-design`.

use std::f64::consts::TAU;
use std::fmt::Write;

use jiff::tz::TimeZone;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

use crate::credential::Credential;
use crate::font::{self, FAMILIES, Weight};

/// Width and height of the PNG, and of the SVG's own coordinates.
pub const SIDE_PIXELS: u32 = 1000;

/// A channel of two drawings of one picture may differ by so much: rounding, on another processor.
const ROUNDING: u8 = 40;

/// Centre and radius of the ring.
const RING: (f64, f64, f64) = (500.0, 360.0, 152.0);
/// Rings of more questions than this are drawn in this many parts.
const MAX_SEGMENTS: u32 = 48;
/// One colour a partition; together they are the ring's sweep.
const LANES: [&str; 4] = ["#2dd4bf", "#38bdf8", "#a78bfa", "#fbbf24"];
const LANE_RGB: [[f64; 3]; 4] = [
    [45., 212., 191.],
    [56., 189., 248.],
    [167., 139., 250.],
    [251., 191., 36.],
];

/// In the PNG in place of a name for which no font was found; the SVG has the name itself.
const NOT_SHOWN: &str = "the name inside this badge";

/// Why a picture can't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The SVG is not one.
    #[error("the badge's picture can't be drawn: {0}")]
    Svg(#[from] usvg::Error),
    /// The PNG can't be written.
    #[error("the badge's PNG can't be written: {0}")]
    Encode(#[from] png::EncodingError),
    /// The PNG can't be read.
    #[error("the badge's PNG can't be read: {0}")]
    Decode(#[from] png::DecodingError),
    /// No memory for the pixels.
    #[error("there is no memory for the badge's picture")]
    Memory,
}

/// The badge as an SVG without the credential. It holds its font, links to nothing, and runs nothing.
pub fn draw(credential: &Credential) -> String {
    draw_texts(credential, &Texts::of(credential))
}

fn draw_texts(credential: &Credential, texts: &Texts) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:openbadges=\"https://purl.imsglobal.org/ob/v3p0\" \
         viewBox=\"0 0 {SIDE_PIXELS} {SIDE_PIXELS}\" width=\"{SIDE_PIXELS}\" height=\"{SIDE_PIXELS}\" role=\"img\" \
         data-design=\"1\">\n<title>{}</title>\n",
        escape(&texts.summary)
    );
    svg.push_str(&format!(
        "<style>\n{}text{{font-family:{FAMILIES}}}\n</style>\n",
        font::faces(&texts.all())
    ));
    svg.push_str(DEFINITIONS);
    svg.push_str(GROUND);
    streams(&mut svg);
    ring(&mut svg, credential);
    words(&mut svg, texts);
    svg.push_str("</svg>\n");
    svg
}

/// The badge as a PNG without the credential.
pub fn draw_png(credential: &Credential) -> Result<Vec<u8>, DrawError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE_PIXELS, SIDE_PIXELS);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels(credential)?)?;
    writer.finish()?;
    Ok(file)
}

/// Whether a PNG shows what the credential says; `None` when it can't be drawn alike on every machine.
pub(crate) fn is_drawn_in(png: &[u8], credential: &Credential) -> Result<Option<bool>, DrawError> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info()?;
    let mut shown = vec![0; (SIDE_PIXELS * SIDE_PIXELS * 4) as usize];
    if reader.output_buffer_size() != Some(shown.len()) {
        return Ok(Some(false));
    }
    reader.next_frame(&mut shown)?;
    reader.finish()?;
    if !font::covers(&Texts::of(credential).all()) {
        return Ok(None);
    }
    let drawn = pixels(credential)?;
    Ok(Some(
        shown.iter().zip(&drawn).all(|(a, b)| a.abs_diff(*b) <= ROUNDING),
    ))
}

/// RGBA of the picture, not premultiplied.
fn pixels(credential: &Credential) -> Result<Vec<u8>, DrawError> {
    let mut texts = Texts::of(credential);
    // Boxes in place of letters would look like a name. A verifier compares no picture of such a name.
    if !font::undrawable(&texts.name).is_empty() {
        NOT_SHOWN.clone_into(&mut texts.name);
    }
    let options = usvg::Options {
        fontdb: font::database(&texts.all()),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(&draw_texts(credential, &texts), &options)?;
    let mut pixmap = Pixmap::new(SIDE_PIXELS, SIDE_PIXELS).ok_or(DrawError::Memory)?;
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    let rgba = |pixel: &resvg::tiny_skia::PremultipliedColorU8| {
        let color = pixel.demultiply();
        [color.red(), color.green(), color.blue(), color.alpha()]
    };
    Ok(pixmap.pixels().iter().flat_map(rgba).collect())
}

/// Every text of the picture.
struct Texts {
    summary: String,
    title: String,
    to: &'static str,
    name: String,
    score: String,
    of: String,
    date: String,
    issuer: String,
    key: String,
}

impl Texts {
    fn of(credential: &Credential) -> Self {
        let date = credential
            .passed_at()
            .map(|at| at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y").to_string())
            .unwrap_or_default();
        let (score, max) = (credential.score(), credential.max());
        let named = credential.holder_name();
        let fingerprint = credential.issuer().fingerprint();
        let tail = fingerprint.len().saturating_sub(6);
        Self {
            summary: format!(
                "{}: {score} of {max}{}, {date}",
                credential.achievement(),
                named.map(|name| format!(", {name}")).unwrap_or_default()
            ),
            title: credential.achievement().to_owned(),
            to: if named.is_some() {
                "awarded to"
            } else {
                "awarded to the holder of"
            },
            name: named.unwrap_or("a hashed e-mail address").to_owned(),
            score: score.to_string(),
            of: format!("of {max}"),
            date: format!("passed on {date}"),
            issuer: format!("Issued by {}", credential.issuer_name()),
            key: format!(
                "signed with key {}\u{2026}{}",
                &fingerprint[..10],
                &fingerprint[tail..]
            ),
        }
    }

    fn all(&self) -> String {
        [&self.title, &self.name, &self.issuer, &self.date, &self.key]
            .map(String::as_str)
            .concat()
    }
}

const DEFINITIONS: &str = r##"<defs>
<linearGradient id="ground" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#0b1226"/><stop offset=".55" stop-color="#101b3b"/><stop offset="1" stop-color="#1b1640"/></linearGradient>
<radialGradient id="glow" gradientUnits="userSpaceOnUse" cx="500" cy="360" r="420"><stop offset="0" stop-color="#38bdf8" stop-opacity=".34"/><stop offset=".45" stop-color="#6366f1" stop-opacity=".13"/><stop offset="1" stop-color="#6366f1" stop-opacity="0"/></radialGradient>
<linearGradient id="out" gradientUnits="userSpaceOnUse" x1="640" y1="0" x2="1000" y2="0"><stop offset="0" stop-color="#fbbf24"/><stop offset=".4" stop-color="#a78bfa"/><stop offset=".75" stop-color="#38bdf8"/><stop offset="1" stop-color="#2dd4bf"/></linearGradient>
<linearGradient id="rule" x1="0" y1="0" x2="1" y2="0"><stop offset="0" stop-color="#2dd4bf" stop-opacity="0"/><stop offset=".2" stop-color="#2dd4bf"/><stop offset=".4" stop-color="#38bdf8"/><stop offset=".6" stop-color="#a78bfa"/><stop offset=".8" stop-color="#fbbf24"/><stop offset="1" stop-color="#fbbf24" stop-opacity="0"/></linearGradient>
<clipPath id="card"><rect width="1000" height="1000" rx="84"/></clipPath>
</defs>
"##;

const GROUND: &str = r##"<g clip-path="url(#card)">
<rect width="1000" height="1000" fill="url(#ground)"/>
<rect width="1000" height="1000" fill="url(#glow)"/>
</g>
<rect x="3" y="3" width="994" height="994" rx="81" fill="none" stroke="#ffffff" stroke-opacity=".14" stroke-width="2"/>
"##;

/// Four partitions come in, one stream goes out.
fn streams(svg: &mut String) {
    // Records on each partition: x of each; a partition is only ever appended to, so none sits beyond the bend.
    const RECORDS: [&[i32]; 4] = [&[30, 84, 138], &[52, 106], &[30, 84, 138], &[68]];
    svg.push_str("<g clip-path=\"url(#card)\">\n");
    for (lane, (colour, records)) in LANES.iter().zip(RECORDS).enumerate() {
        let y = 216 + 96 * lane as i32;
        let entry = 324 + 24 * lane as i32;
        let _ = writeln!(
            svg,
            "<path d=\"M0 {y}H170C270 {y} 262 {entry} 372 {entry}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"4\" \
             stroke-opacity=\".75\"/>"
        );
        for x in records {
            let top = y - 14;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{top}\" width=\"42\" height=\"28\" rx=\"7\" fill=\"#101b3b\"/>\
                 <rect x=\"{x}\" y=\"{top}\" width=\"42\" height=\"28\" rx=\"7\" fill=\"{colour}\" fill-opacity=\".9\"/>"
            );
        }
    }
    svg.push_str("<path d=\"M640 360H1000\" fill=\"none\" stroke=\"url(#out)\" stroke-width=\"8\"/>\n");
    for x in [706, 800, 894] {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"334\" width=\"72\" height=\"52\" rx=\"13\" fill=\"url(#out)\" stroke=\"#131b3e\" stroke-width=\"6\"/>"
        );
    }
    svg.push_str("</g>\n");
}

/// One segment a question, lit for each right answer.
fn ring(svg: &mut String, credential: &Credential) {
    let (x, y, radius) = RING;
    let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"178\" fill=\"#0c1430\"/>");
    let segments = credential.max().clamp(1, MAX_SEGMENTS);
    let lit =
        (f64::from(credential.score()) / f64::from(credential.max().max(1)) * f64::from(segments)).round();
    let step = TAU / f64::from(segments);
    let gap = (step * 0.24).min(0.07);
    for segment in 0..segments {
        let from = step * f64::from(segment) + gap / 2.0;
        let to = from + step - gap;
        let colour = if f64::from(segment) < lit {
            sweep(f64::from(segment) / f64::from(segments))
        } else {
            "#2a3560".into()
        };
        let at = |angle: f64| (x + radius * angle.sin(), y - radius * angle.cos());
        let ((x1, y1), (x2, y2)) = (at(from), at(to));
        let large = i32::from(to - from > TAU / 2.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{x1:.1} {y1:.1}A{radius} {radius} 0 {large} 1 {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"26\"/>"
        );
    }
}

/// The colour at `part` (0 to 1) of the ring: through the partitions' colours and back to the first.
fn sweep(part: f64) -> String {
    let place = part * 4.0;
    let index = place as usize % 4;
    let (from, to) = (LANE_RGB[index], LANE_RGB[(index + 1) % 4]);
    let mix = |channel: usize| from[channel] + (to[channel] - from[channel]) * place.fract();
    format!("#{:02x}{:02x}{:02x}", mix(0) as u8, mix(1) as u8, mix(2) as u8)
}

fn words(svg: &mut String, texts: &Texts) {
    use Weight::{ExtraBold, Medium};
    let mut line = |text: &str, y: u32, size: u32, weight: Weight, colour: &str, room: f32| {
        let (text, size) = fit(text, weight, size, room);
        let _ = writeln!(
            svg,
            "<text x=\"500\" y=\"{y}\" font-size=\"{size}\" font-weight=\"{}\" fill=\"{colour}\" text-anchor=\"middle\">{}</text>",
            weight.css(),
            escape(&text)
        );
    };
    line(&texts.score, 390, 112, ExtraBold, "#ffffff", 210.0);
    line(&texts.of, 434, 32, Medium, "#a9b8e0", 160.0);
    line("streamlings", 112, 38, ExtraBold, "#ffffff", 840.0);
    line(&texts.title, 655, 66, ExtraBold, "#ffffff", 840.0);
    line(texts.to, 742, 26, Medium, "#a9b8e0", 840.0);
    line(&texts.name, 802, 50, ExtraBold, "#7ff0df", 840.0);
    line(&texts.date, 850, 26, Medium, "#a9b8e0", 840.0);
    line(&texts.issuer, 908, 23, Medium, "#dbe4ff", 800.0);
    line(&texts.key, 942, 19, Medium, "#8291c4", 760.0);
    svg.push_str("<rect x=\"250\" y=\"686\" width=\"500\" height=\"3\" fill=\"url(#rule)\"/>\n");
}

/// Sets a text smaller until it fits, to half its size; then cuts it, and says so with an ellipsis.
fn fit(text: &str, weight: Weight, size: u32, room: f32) -> (String, u32) {
    let fits = |text: &str, size: u32| font::width_ems(text, weight) * size as f32 <= room;
    let smallest = size / 2;
    if let Some(size) = (smallest..=size).rev().find(|&size| fits(text, size)) {
        return (text.to_owned(), size);
    }
    let mut shown: Vec<char> = text.chars().collect();
    while shown.pop().is_some() {
        let cut = format!("{}\u{2026}", shown.iter().collect::<String>().trim_end());
        if fits(&cut, smallest) {
            return (cut, smallest);
        }
    }
    (String::new(), smallest)
}

/// Text for XML content and attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
