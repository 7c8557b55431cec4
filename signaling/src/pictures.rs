//! Pictures that people upload: decoded under limits and made anew, so that nothing of the file as it came is
//! ever served: no place where it was taken, no program that hides in it.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// A picture made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// `image/png` or `image/jpeg`.
    pub mime: &'static str,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// The same, small enough for a list; a JPEG.
    pub thumbnail: Vec<u8>,
}

/// Why a file is no picture that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It begins like a picture and is none.
    Broken,
    /// It has more pixels than are taken.
    TooLarge,
}

/// The picture in a file; `None` where the file does not begin like one. Takes a core for as long as it
/// takes: call it where that may wait.
pub fn picture(file: &[u8], max_side: u32) -> Option<Result<Picture, Unusable>> {
    let format = image::guess_format(file).ok()?;
    let is_taken = matches!(
        format,
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP
    );
    is_taken.then(|| made_anew(file, format, max_side))
}

fn made_anew(file: &[u8], format: ImageFormat, max_side: u32) -> Result<Picture, Unusable> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Unusable::TooLarge);
    }
    // Cameras turn pictures by a note beside them, and the note does not come along.
    let orientation = decoder.orientation().map_err(reason)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(reason)?;
    image.apply_orientation(orientation);
    if image.width().max(image.height()) > max_side {
        image = image.thumbnail(max_side, max_side);
    }
    let (bytes, mime) = match format {
        ImageFormat::Jpeg => (jpeg(&image)?, "image/jpeg"),
        _ => (png(&image)?, "image/png"),
    };
    let thumbnail = jpeg(&image.thumbnail(THUMBNAIL_SIDE, THUMBNAIL_SIDE))?;
    Ok(Picture { bytes, mime, width: image.width(), height: image.height(), thumbnail })
}

fn jpeg(image: &DynamicImage) -> Result<Vec<u8>, Unusable> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    image.to_rgb8().write_with_encoder(encoder).map_err(reason)?;
    Ok(bytes)
}

fn png(image: &DynamicImage) -> Result<Vec<u8>, Unusable> {
    let mut bytes = Vec::new();
    image.to_rgba8().write_with_encoder(PngEncoder::new(&mut bytes)).map_err(reason)?;
    Ok(bytes)
}

fn reason(error: image::ImageError) -> Unusable {
    match error {
        image::ImageError::Limits(_) => Unusable::TooLarge,
        _ => Unusable::Broken,
    }
}

/// Phones make 8,000; more is memory for nobody's screen.
const MAX_SIDE: u32 = 12_000;
/// 40 megapixels take 160 MB while they are decoded.
const MAX_PIXELS: u64 = 40_000_000;
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;
/// A list shows no more.
const THUMBNAIL_SIDE: u32 = 320;
/// Lower shows blocks in text, higher doubles the bytes.
const JPEG_QUALITY: u8 = 85;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = DynamicImage::new_rgb8(width, height);
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_picture_is_made_anew_with_a_thumbnail() {
        for (format, mime) in [
            (ImageFormat::Png, "image/png"),
            (ImageFormat::Gif, "image/png"),
            (ImageFormat::WebP, "image/png"),
            (ImageFormat::Jpeg, "image/jpeg"),
        ] {
            let mut file = file(1_000, 500, format);
            let mark = b"<script>alert(1)</script>";
            file.extend_from_slice(mark);
            let picture = picture(&file, 4_096).unwrap().unwrap();
            assert_eq!((picture.width, picture.height, picture.mime), (1_000, 500, mime));
            assert!(!picture.bytes.windows(mark.len()).any(|window| window == mark), "{format:?}");
            let small = image::load_from_memory(&picture.thumbnail).unwrap();
            assert_eq!((small.width(), small.height()), (320, 160));
        }
    }

    #[test]
    fn a_picture_larger_than_wanted_is_made_smaller() {
        let picture = picture(&file(1_000, 500, ImageFormat::Png), 400).unwrap().unwrap();
        assert_eq!((picture.width, picture.height), (400, 200));
    }

    #[test]
    fn bombs_and_broken_pictures_are_none_and_other_files_are_not_looked_at() {
        // A header that claims 50,000 x 50,000 pixels.
        let mut bomb = file(1, 1, ImageFormat::Png);
        bomb[16..24].copy_from_slice(&[0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50]);
        let crc = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(picture(&bomb, 4_096), Some(Err(Unusable::TooLarge)));
        let whole = file(100, 100, ImageFormat::Png);
        assert_eq!(picture(&whole[..whole.len() / 2], 4_096), Some(Err(Unusable::Broken)));
        assert_eq!(picture(b"<svg onload=alert(1)>", 4_096), None);
        assert_eq!(picture(b"", 4_096), None);
    }

    /// CRC-32 of a PNG chunk.
    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }
}
