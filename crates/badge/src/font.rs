//! The bundled typeface: measuring for layout, embedding for browsers, drawing for the PNG.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use resvg::usvg::fontdb::{Database, Source};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

const MEDIUM: &[u8] = include_bytes!("../fonts/Manrope_500Medium.ttf");
const EXTRA_BOLD: &[u8] = include_bytes!("../fonts/Manrope_800ExtraBold.ttf");

/// The two weights in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Medium,
    ExtraBold,
}

impl Weight {
    pub(crate) fn css(self) -> u16 {
        match self {
            Self::Medium => 500,
            Self::ExtraBold => 800,
        }
    }

    fn data(self) -> &'static [u8] {
        match self {
            Self::Medium => MEDIUM,
            Self::ExtraBold => EXTRA_BOLD,
        }
    }
}

/// Width of `text` in ems. A letter that the font lacks counts as one em, the width of the widest common scripts.
pub(crate) fn width_ems(text: &str, weight: Weight) -> f32 {
    // The bundled files are valid; were one not, each letter would count as one em.
    let Ok(font) = FontRef::new(weight.data()) else {
        return text.chars().count() as f32;
    };
    let (charmap, metrics) = (
        font.charmap(),
        font.glyph_metrics(Size::new(1.0), LocationRef::default()),
    );
    let advance = |c: char| {
        charmap
            .map(c)
            .and_then(|glyph| metrics.advance_width(glyph))
            .unwrap_or(1.0)
    };
    text.chars().map(advance).sum()
}

/// Whether the bundled font has every letter, so that the picture is the same on every machine.
pub(crate) fn covers(text: &str) -> bool {
    FontRef::new(MEDIUM).is_ok_and(|font| {
        let charmap = font.charmap();
        text.chars().all(|c| charmap.map(c).is_some())
    })
}

/// One script's subset: CSS family, the letters that call for it, its files for both weights.
struct Subset {
    family: &'static str,
    calls: fn(char) -> bool,
    files: [(Weight, &'static [u8]); 2],
}

macro_rules! subset {
    ($family:literal, $file:literal, $calls:expr) => {
        Subset {
            family: $family,
            calls: $calls,
            files: [
                (
                    Weight::Medium,
                    include_bytes!(concat!("../fonts/manrope-", $file, "-500-normal.woff2")),
                ),
                (
                    Weight::ExtraBold,
                    include_bytes!(concat!("../fonts/manrope-", $file, "-800-normal.woff2")),
                ),
            ],
        }
    };
}

static SUBSETS: [Subset; 4] = [
    subset!("Manrope", "latin", |_| true),
    subset!(
        "Manrope Latin Extended",
        "latin-ext",
        |c| matches!(c, '\u{100}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
    ),
    subset!("Manrope Greek", "greek", |c| matches!(c, '\u{370}'..='\u{3ff}')),
    subset!("Manrope Cyrillic", "cyrillic", |c| matches!(
        c,
        '\u{400}'..='\u{4ff}'
    )),
];

/// The value of `font-family` for every text of the picture.
pub(crate) const FAMILIES: &str = "Manrope, 'Manrope Latin Extended', 'Manrope Greek', 'Manrope Cyrillic', 'Segoe UI', 'Noto Sans', sans-serif";

/// The `@font-face` rules that `text` needs, with the font inside.
pub(crate) fn faces(text: &str) -> String {
    let mut css = String::new();
    for subset in SUBSETS.iter().filter(|subset| text.chars().any(subset.calls)) {
        for (weight, file) in &subset.files {
            css.push_str(&format!(
                "@font-face{{font-family:'{}';font-weight:{};src:url(data:font/woff2;base64,{}) format('woff2')}}\n",
                subset.family,
                weight.css(),
                STANDARD.encode(file)
            ));
        }
    }
    css
}

/// The letters of `text` for which neither the bundled font nor one of this machine has a shape: the PNG can't show
/// them.
pub fn undrawable(text: &str) -> Vec<char> {
    let missing = |data: &[u8], index: u32, letters: &mut Vec<char>| {
        if let Ok(font) = FontRef::from_index(data, index) {
            let charmap = font.charmap();
            letters.retain(|c| charmap.map(*c).is_none());
        }
    };
    let mut letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    missing(MEDIUM, 0, &mut letters);
    if letters.is_empty() {
        return letters;
    }
    let fonts = database(text);
    for face in fonts.faces() {
        fonts.with_face_data(face.id, |data, index| missing(data, index, &mut letters));
    }
    letters.dedup();
    letters
}

/// Fonts for the PNG: the bundled ones, and this machine's where `text` has letters that they lack.
pub(crate) fn database(text: &str) -> Arc<Database> {
    static BUNDLED: LazyLock<Arc<Database>> = LazyLock::new(|| {
        let mut fonts = Database::new();
        for weight in [Weight::Medium, Weight::ExtraBold] {
            fonts.load_font_source(Source::Binary(Arc::new(weight.data())));
        }
        Arc::new(fonts)
    });
    let mut fonts = BUNDLED.clone();
    if !covers(text) {
        Arc::make_mut(&mut fonts).load_system_fonts();
    }
    fonts
}

#[cfg(test)]
mod tests {
    use super::undrawable;

    #[test]
    fn letters_without_a_shape_are_found() {
        assert!(undrawable("Ada Lovelace, Ždàřský, Σωκράτης, Анна").is_empty());
        // A noncharacter, which no font maps.
        assert_eq!(undrawable("Ada \u{fdd0}"), ['\u{fdd0}']);
    }
}
