//! The header of a .npy file: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//!
//! Strict: each of the three keys once, and nothing else. What NumPy can store and we cannot use is
//! told from what is broken, and comes with the line of Python that helps.

use half::{bf16, f16};

use super::{Dtype, InputError, Number};

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) stored: Stored,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    pub(super) fn parse(text: &[u8]) -> Result<Self, InputError> {
        let mut cursor = Cursor { text, at: 0 };
        let (mut stored, mut fortran, mut shape) = (None, None, None);
        cursor.expect(b'{')?;
        while !cursor.accept(b'}') {
            let key = cursor.string()?;
            cursor.expect(b':')?;
            match key {
                b"descr" if stored.is_none() => stored = Some(cursor.descr()?),
                b"fortran_order" if fortran.is_none() => fortran = Some(cursor.boolean()?),
                b"shape" if shape.is_none() => shape = Some(cursor.shape()?),
                _ => return Err(cursor.broken("a key that is unknown or comes twice")),
            }
            if !cursor.accept(b',') {
                cursor.expect(b'}')?;
                break;
            }
        }
        cursor.skip_space();
        match (stored, fortran, shape) {
            _ if cursor.at < text.len() => Err(cursor.broken("something behind the end")),
            (Some(stored), Some(fortran), Some(shape)) => Ok(Self { stored, fortran, shape }),
            _ => Err(cursor.broken("one of descr, fortran_order and shape missing")),
        }
    }
}

/// Reads tokens; never looks back, never recurses.
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn accept(&mut self, token: u8) -> bool {
        self.skip_space();
        let is_next = self.text.get(self.at) == Some(&token);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: u8) -> Result<(), InputError> {
        match self.accept(token) {
            true => Ok(()),
            false => Err(self.broken(&format!("no '{}' where one belongs", token as char))),
        }
    }

    /// The longest run of bytes of one kind.
    fn run(&mut self, is_in: impl Fn(u8) -> bool) -> &'a [u8] {
        self.skip_space();
        let rest = &self.text[self.at..];
        let len = rest.iter().position(|&byte| !is_in(byte)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn string(&mut self) -> Result<&'a [u8], InputError> {
        let quote = if self.accept(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(quote)?;
        }
        // No key or dtype that we know has a space in front or an escape.
        let text = self.run(|byte| byte != quote && byte != b'\\');
        self.expect(quote)?;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, InputError> {
        match self.run(|byte| byte.is_ascii_alphabetic()) {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(self.broken("a fortran_order that is neither True nor False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>, InputError> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.accept(b')') {
            let digits = self.run(|byte| byte.is_ascii_digit());
            let axis = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            shape.push(axis.ok_or_else(|| self.broken("an axis that is no length"))?);
            self.accept(b'L'); // Python 2 wrote (3L, 4L).
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn descr(&mut self) -> Result<Stored, InputError> {
        if self.accept(b'[') {
            return Err(InputError::new(
                "has a structured dtype, where numbers of one type belong",
            )
            .hint("np.save(path, np.stack([x[name] for name in x.dtype.names], axis=-1))"));
        }
        let text = self.string()?;
        Stored::parse(text).ok_or_else(|| unusable(text))
    }

    fn broken(&self, why: &str) -> InputError {
        InputError::new(format!("has a broken header: {why} (byte {})", self.at))
            .hint("write it again with np.save")
    }
}

/// Why numbers of this dtype cannot be read.
fn unusable(descr: &[u8]) -> InputError {
    let text = String::from_utf8_lossy(descr);
    let code = text.trim_start_matches(['<', '>', '=', '|']);
    let unusable = |what| InputError::new(format!("has dtype '{}': {what}", text.escape_debug()));
    let (what, remedy) = match code.as_bytes().first() {
        Some(b'O') => ("Python objects", "x.astype(np.float64)"),
        Some(b'c') => ("complex numbers", "x.real"),
        Some(b'S' | b'U' | b'a') => {
            return unusable("text").hint(
                "np.save(path, x.astype(np.float64)), or for labels that are names \
                 np.savetxt('labels.txt', x, fmt='%s') and --classes FILE",
            );
        }
        Some(b'f' | b'g') => ("floats of an unsupported size", "x.astype(np.float64)"),
        // ml_dtypes leaves nothing of bfloat16 in the file but its size.
        _ if code == "V2" => ("2-byte voids, perhaps bfloat16", "x.astype(np.float32)"),
        _ => ("no numbers", "x.astype(np.float64)"),
    };
    unusable(what).hint(format!("np.save(path, {remedy})"))
}

/// How a number stands in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stored {
    kind: Kind,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    F16,
    /// NumPy has none; .safetensors does.
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl Stored {
    fn parse(descr: &[u8]) -> Option<Self> {
        let (&order, code) = descr.split_first()?;
        let kind = match code {
            b"f2" => Kind::F16,
            b"f4" => Kind::F32,
            b"f8" => Kind::F64,
            b"i1" => Kind::I8,
            b"i2" => Kind::I16,
            b"i4" => Kind::I32,
            b"i8" => Kind::I64,
            b"u1" => Kind::U8,
            b"u2" => Kind::U16,
            b"u4" => Kind::U32,
            b"u8" => Kind::U64,
            b"b1" => Kind::Bool,
            _ => return None,
        };
        let mut stored = Self { kind, is_big_endian: false };
        stored.is_big_endian = match order {
            b'<' => false,
            b'>' => true,
            b'=' => cfg!(target_endian = "big"),
            b'|' if stored.size() == 1 => false,
            _ => return None,
        };
        Some(stored)
    }

    /// What .safetensors calls a type.
    pub(super) fn of_tensor(dtype: &str) -> Option<Self> {
        let kind = match dtype {
            "F16" => Kind::F16,
            "BF16" => Kind::Bf16,
            "F32" => Kind::F32,
            "F64" => Kind::F64,
            "I8" => Kind::I8,
            "I16" => Kind::I16,
            "I32" => Kind::I32,
            "I64" => Kind::I64,
            "U8" => Kind::U8,
            "U16" => Kind::U16,
            "U32" => Kind::U32,
            "U64" => Kind::U64,
            "BOOL" => Kind::Bool,
            _ => return None,
        };
        Some(Self { kind, is_big_endian: false })
    }

    /// Bytes per number.
    pub(super) fn size(self) -> usize {
        match self.kind {
            Kind::I8 | Kind::U8 | Kind::Bool => 1,
            Kind::F16 | Kind::Bf16 | Kind::I16 | Kind::U16 => 2,
            Kind::F32 | Kind::I32 | Kind::U32 => 4,
            Kind::F64 | Kind::I64 | Kind::U64 => 8,
        }
    }

    /// The float type that these numbers are worked with as.
    pub(super) fn dtype(self) -> Dtype {
        match self.kind {
            Kind::F16 => Dtype::F16,
            // Every bf16 is an f32.
            Kind::F32 | Kind::Bf16 => Dtype::F32,
            _ => Dtype::F64,
        }
    }

    fn is_float_of<T: Number>(self) -> bool {
        matches!(self.kind, Kind::F16 | Kind::F32 | Kind::F64) && self.dtype() == T::DTYPE
    }

    /// Whether the bytes of these numbers are those of T in memory.
    pub(super) fn is_as_in_memory<T: Number>(self) -> bool {
        self.is_float_of::<T>() && self.is_big_endian == cfg!(target_endian = "big")
    }

    /// Decodes `bytes`, `out.len()` numbers. Fails with the place and text of the first number that
    /// T does not have exactly.
    pub(super) fn decode<T: Number>(
        self,
        bytes: &[u8],
        out: &mut [T],
    ) -> Result<(), (usize, String)> {
        if self.is_float_of::<T>() {
            T::decode(bytes, self.is_big_endian, out);
            return Ok(());
        }
        // `$exactly` turns what is stored into the f64 of the same value, if there is one.
        macro_rules! decode {
            ($stored:ty, $exactly:expr) => {{
                let (numbers, _) = bytes.as_chunks::<{ size_of::<$stored>() }>();
                for (at, (number, out)) in numbers.iter().zip(out).enumerate() {
                    let number = match self.is_big_endian {
                        true => <$stored>::from_be_bytes(*number),
                        false => <$stored>::from_le_bytes(*number),
                    };
                    let exactly: fn($stored) -> Option<f64> = $exactly;
                    *out = exactly(number)
                        .and_then(T::exactly)
                        .ok_or_else(|| (at, number.to_string()))?;
                }
            }};
        }
        match self.kind {
            Kind::F16 => decode!(f16, |x| Some(x.to_f64())),
            Kind::Bf16 => decode!(bf16, |x| Some(x.to_f64())),
            Kind::F32 => decode!(f32, |x| Some(x.into())),
            Kind::F64 => decode!(f64, Some),
            Kind::I8 => decode!(i8, |x| Some(x.into())),
            Kind::I16 => decode!(i16, |x| Some(x.into())),
            Kind::I32 => decode!(i32, |x| Some(x.into())),
            Kind::I64 => decode!(i64, |x| Some(x as f64).filter(|&y| y as i128 == x.into())),
            Kind::U8 => decode!(u8, |x| Some(x.into())),
            Kind::U16 => decode!(u16, |x| Some(x.into())),
            Kind::U32 => decode!(u32, |x| Some(x.into())),
            Kind::U64 => decode!(u64, |x| Some(x as f64).filter(|&y| y as i128 == x.into())),
            Kind::Bool => decode!(u8, |x| Some((x != 0).into())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, String> {
        Header::parse(text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let header = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n");
        let header = header.expect("parses");
        assert_eq!(header.stored, Stored { kind: Kind::F32, is_big_endian: false });
        assert_eq!((header.fortran, header.shape), (false, vec![3, 4]));
        let header = parse("{\"shape\":(5L,),\"fortran_order\":True,\"descr\":\">f8\"}");
        let header = header.expect("parses");
        assert_eq!(header.stored, Stored { kind: Kind::F64, is_big_endian: true });
        assert_eq!((header.fortran, header.shape), (true, vec![5]));
        let scalar = parse("{'descr': '|b1', 'fortran_order': False, 'shape': (), }");
        assert_eq!(scalar.expect("parses").shape, Vec::<usize>::new());
    }

    #[test]
    fn broken_headers() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
        assert!(parse(good).is_ok());
        for len in 0..good.len() {
            assert!(parse(&good[..len]).is_err(), "{}", &good[..len]);
        }
        for (from, to) in [
            ("False", "0"),
            ("(3, 4)", "(3, -4)"),
            ("(3, 4)", "(3, 4"),
            ("(3, 4)", "[3, 4]"),
            ("(3, 4)", "(3 4)"),
            ("(3, 4)", "(99999999999999999999999, 4)"),
            ("'shape'", "'descr'"),
            ("'shape'", "'color'"),
            ("}", "} x"),
            ("'<f4'", "'f4'"),
            ("'<f4'", "'|f4'"),
            ("'<f4'", "'<f3'"),
        ] {
            assert!(parse(&good.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn dtypes_that_are_no_numbers_come_with_a_remedy() {
        let error = |descr: &str| {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (3, 4), }}");
            let error = Header::parse(text.as_bytes()).expect_err("refused");
            (error.to_string(), error.hint_line().expect("a hint").to_owned())
        };
        for (descr, reason, remedy) in [
            ("'|O'", "Python objects", "astype(np.float64)"),
            ("'<c16'", "complex", "x.real"),
            ("'<U5'", "text", "astype(np.float64)"),
            ("'<V2'", "bfloat16", "astype(np.float32)"),
            ("'<f16'", "unsupported size", "astype(np.float64)"),
            ("[('a', '<f4'), ('b', '<f4')]", "structured", "np.stack"),
        ] {
            let (message, hint) = error(descr);
            assert!(message.contains(reason), "{message}");
            assert!(hint.contains(remedy), "{hint}");
        }
    }

    #[test]
    fn integers_are_exact_or_refused() {
        let stored = Stored::parse(b">i8").expect("known");
        let mut out = [0.0f64; 2];
        let bytes = [(1i64 << 53).to_be_bytes(), i64::MIN.to_be_bytes()].concat();
        assert_eq!(stored.decode(&bytes, &mut out), Ok(()));
        assert_eq!(out, [9007199254740992.0, -9223372036854775808.0]);
        for refused in [(1i64 << 53) + 1, i64::MAX] {
            let bytes = [0i64.to_be_bytes(), refused.to_be_bytes()].concat();
            assert_eq!(stored.decode(&bytes, &mut out), Err((1, refused.to_string())));
        }
        let mut out = [f16::ZERO];
        assert_eq!(
            Stored::parse(b"<f4").expect("known").decode(&0.1f32.to_le_bytes(), &mut out),
            Err((0, "0.1".to_owned()))
        );
    }
}
