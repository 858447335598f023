//! Values from JavaScript, checked: whatever they are, what is wrong with them is said in an `Error`.

use js_sys::{Date, Error, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::core::periods::day::Day;

/// An object given by a caller.
pub(super) struct Given<'a>(&'a JsValue);

impl<'a> Given<'a> {
    pub(super) fn of(value: &'a JsValue, name: &str) -> Result<Self, Error> {
        if value.is_object() { Ok(Self(value)) } else { Err(wrong(name, "must be an object")) }
    }

    /// A field; null and absent are the same.
    pub(super) fn get(&self, field: &str) -> Result<JsValue, Error> {
        Reflect::get(self.0, &field.into()).map_err(|_| wrong(field, "cannot be read"))
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, Error> {
        text(&self.get(field)?, field)
    }

    /// A text, or a whole number as its digits.
    pub(super) fn user(&self, field: &str) -> Result<Option<String>, Error> {
        let value = self.get(field)?;
        let must = "must be a string or an integer";
        match value.as_f64() {
            Some(number) if number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX => {
                Ok(Some((number as i64).to_string()))
            }
            Some(_) => Err(wrong(field, must)),
            None if is_absent(&value) => Ok(None),
            None => value.as_string().map(Some).ok_or_else(|| wrong(field, must)),
        }
    }

    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, Error> {
        let value = self.get(field)?;
        match value.as_f64() {
            None if !is_absent(&value) => Err(wrong(field, "must be a number")),
            number => Ok(number),
        }
    }

    pub(super) fn whole(&self, field: &str, min: usize, max: usize) -> Result<Option<usize>, Error> {
        whole(&self.get(field)?, field, min, max)
    }

    pub(super) fn flag(&self, field: &str) -> Result<bool, Error> {
        let value = self.get(field)?;
        match value.as_bool() {
            None if !is_absent(&value) => Err(wrong(field, "must be true or false")),
            flag => Ok(flag.unwrap_or(false)),
        }
    }

    pub(super) fn bytes<const N: usize>(&self, field: &str) -> Result<Option<[u8; N]>, Error> {
        let value = self.get(field)?;
        if is_absent(&value) {
            return Ok(None);
        }
        let bytes = value.dyn_ref::<Uint8Array>().and_then(|bytes| bytes.to_vec().try_into().ok());
        bytes.map(Some).ok_or_else(|| wrong(field, "must be a Uint8Array of the right length"))
    }

    /// The day of a `Date`, of milliseconds since 1970, or of a text that `Date` reads; today where there is none.
    pub(super) fn day(&self, field: &str) -> Result<Day, Error> {
        let value = self.get(field)?;
        let ms = if is_absent(&value) {
            Date::now()
        } else if let Some(ms) = value.as_f64() {
            ms
        } else if let Some(date) = value.dyn_ref::<Date>() {
            date.get_time()
        } else if value.is_string() {
            Date::new(&value).get_time()
        } else {
            f64::NAN
        };
        Day::of_unix_ms(ms).ok_or_else(|| wrong(field, "must be a date of the years 0 to 9999"))
    }
}

/// The greatest number up to which all whole numbers are exact.
const SAFE_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

pub(super) fn text(value: &JsValue, name: &str) -> Result<Option<String>, Error> {
    match value.as_string() {
        None if !is_absent(value) => Err(wrong(name, "must be a string")),
        text => Ok(text),
    }
}

// In range, so neither truncated nor negative.
#[allow(clippy::cast_sign_loss)]
pub(super) fn whole(value: &JsValue, name: &str, min: usize, max: usize) -> Result<Option<usize>, Error> {
    if is_absent(value) {
        return Ok(None);
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && (min as f64..=max as f64).contains(number));
    number
        .map(|number| Some(number as usize))
        .ok_or_else(|| wrong(name, &format!("must be a whole number from {min} to {max}")))
}

fn is_absent(value: &JsValue) -> bool {
    value.is_undefined() || value.is_null()
}

/// Says what is wrong with which part.
pub(super) fn wrong(part: &str, must: &str) -> Error {
    Error::new(&format!("{part}: {must}"))
}

/// Sets a field of an object of our own, which cannot fail.
pub(super) fn set(object: &Object, field: &str, value: &JsValue) {
    let is_set = Reflect::set(object, &field.into(), value);
    debug_assert!(is_set.is_ok());
}
