//! Checks what `yrs` is going to decode. Its decoder is for bytes from friends: in 32 bits it can read beyond the end, it
//! descends as deep as values go, and it does not know all that it accepts. A trap would end the room.

use crate::wire::Reader;

/// The maximum depth of values inside one another.
const MAX_DEPTH: u32 = 32;
/// Clocks and lengths beyond this are no work of editors.
const MAX_CLOCK: u32 = 1 << 30;

// The first byte of a block: its kind, and what stands before its content.
const KIND: u8 = 0x1f;
const HAS_PARENT_KEY: u8 = 0x20;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_ORIGIN: u8 = 0x80;

/// Returns whether this is a state vector.
pub(crate) fn is_state_vector(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let read = |reader: &mut Reader<'_>| {
        for _ in 0..reader.count(2)? {
            reader.number()?;
            clock(reader)?;
        }
        Some(())
    };
    read(&mut reader).is_some() && reader.left() == 0
}

/// Returns whether this is an update of a document.
///
/// Subdocuments are not accepted, nor are contents that Yjs 13 does not write.
pub(crate) fn is_update(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    blocks(&mut reader)
        .and_then(|()| deletions(&mut reader))
        .is_some()
        && reader.left() == 0
}

fn clock(reader: &mut Reader<'_>) -> Option<u32> {
    reader.short().filter(|clock| *clock <= MAX_CLOCK)
}

fn id(reader: &mut Reader<'_>) -> Option<()> {
    reader.number()?;
    clock(reader)?;
    Some(())
}

fn blocks(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..reader.count(3)? {
        let count = reader.count(2)?;
        reader.number()?;
        let mut end = clock(reader)?;
        for _ in 0..count {
            end += block(reader)?;
            if end > MAX_CLOCK {
                return None;
            }
        }
    }
    Some(())
}

fn deletions(reader: &mut Reader<'_>) -> Option<()> {
    for _ in 0..reader.count(2)? {
        reader.number()?;
        for _ in 0..reader.count(2)? {
            if clock(reader)? + clock(reader)? > MAX_CLOCK {
                return None;
            }
        }
    }
    Some(())
}

/// Returns the length of a block, which is at least 1.
fn block(reader: &mut Reader<'_>) -> Option<u32> {
    let info = reader.byte()?;
    // Deleted and forgotten, or missing.
    if info == 0 || info == 10 {
        return clock(reader).filter(|length| *length > 0);
    }
    if info & HAS_ORIGIN != 0 {
        id(reader)?;
    }
    if info & HAS_RIGHT_ORIGIN != 0 {
        id(reader)?;
    }
    if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
        match reader.byte()? {
            0 => id(reader)?,
            1 => drop(reader.text()?),
            _ => return None,
        }
        if info & HAS_PARENT_KEY != 0 {
            reader.text()?;
        }
    }
    content(info & KIND, reader).filter(|length| *length > 0)
}

/// Returns the length of a block's content.
fn content(kind: u8, reader: &mut Reader<'_>) -> Option<u32> {
    match kind {
        // Deleted.
        1 => return clock(reader),
        // Binary.
        3 => drop(reader.bytes()?),
        // A string.
        4 => return u32::try_from(reader.text()?.encode_utf16().count()).ok(),
        // Embedded JSON.
        5 => json(reader)?,
        // A format: a name, and a value in JSON.
        6 => {
            reader.text()?;
            json(reader)?;
        }
        // A shared type.
        7 => match reader.byte()? {
            // An element of XML, or a hook, each with a name. A hook is none in `yrs`.
            3 => drop(reader.text()?),
            0..=2 | 4 | 6 => {}
            _ => return None,
        },
        // Values.
        8 => {
            let count = reader.count(1)?;
            for _ in 0..count {
                value(reader, 0)?;
            }
            return u32::try_from(count).ok();
        }
        _ => return None,
    }
    Some(1)
}

/// Checks JSON as far as `yrs` does not do it itself, which is how deep it goes.
fn json(reader: &mut Reader<'_>) -> Option<()> {
    let mut depth = 0_u32;
    // Brackets in strings count, too. Who opens so many more than are closed is not missed.
    for byte in reader.text()?.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
    }
    Some(())
}

fn value(reader: &mut Reader<'_>, depth: u32) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match reader.byte()? {
        // Undefined, null, false, true.
        127 | 126 | 121 | 120 => {}
        // A whole number.
        125 => {
            let mut length = 1;
            while reader.byte()? >= 0x80 {
                length += 1;
                if length > 8 {
                    return None;
                }
            }
        }
        // Numbers of 4 and 8 bytes.
        124 => drop(reader.skip(4)?),
        123 | 122 => drop(reader.skip(8)?),
        119 => drop(reader.text()?),
        // A map.
        118 => {
            for _ in 0..reader.count(2)? {
                reader.text()?;
                value(reader, depth + 1)?;
            }
        }
        // An array.
        117 => {
            for _ in 0..reader.count(1)? {
                value(reader, depth + 1)?;
            }
        }
        116 => drop(reader.bytes()?),
        _ => return None,
    }
    Some(())
}
