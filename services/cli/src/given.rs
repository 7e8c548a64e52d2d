//! Parameters that may be left out.

/// A request with those of the parameters that are given: each value is an `Option`.
macro_rules! given {
    ($request:expr, $($parameter:ident = $value:expr),+ $(,)?) => {{
        let mut request = $request;
        $(
            if let Some(value) = $value {
                request = request.$parameter(value);
            }
        )+
        request
    }};
}

pub(crate) use given;
