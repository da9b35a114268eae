use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::{
    Error, Ident, LitStr, Token,
    parse::{ParseStream, Parser as _},
};

/// The way in which a room's state is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saving {
    /// It is not.
    No,
    /// With the author's own `impl SaveState`.
    Own,
    Json,
    Postcard,
}

const EXPECTED: &str =
    "#[stateroom_wasm] takes `save`, `save = \"json\"` or `save = \"postcard\"`, or no arguments";

impl Saving {
    /// Reads the arguments of the attribute.
    pub(crate) fn parse(arguments: &TokenStream) -> syn::Result<Self> {
        if arguments.is_empty() {
            return Ok(Self::No);
        }
        let parse = |input: ParseStream<'_>| {
            let name: Ident = input.parse()?;
            if name != "save" {
                return Err(Error::new_spanned(name, EXPECTED));
            }
            if input.is_empty() {
                return Ok(Self::Own);
            }
            let _: Token![=] = input.parse()?;
            let format: LitStr = input.parse()?;
            match &*format.value() {
                "json" => Ok(Self::Json),
                "postcard" => Ok(Self::Postcard),
                _ => Err(Error::new_spanned(format, EXPECTED)),
            }
        };
        parse.parse2(arguments.clone()).map_err(|error| {
            // What the parser itself expected is of no help.
            if error.to_string() == EXPECTED {
                error
            } else {
                Error::new_spanned(arguments.to_token_stream(), EXPECTED)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn there_are_three_ways_to_save() {
        assert_eq!(Saving::parse(&quote! {}).unwrap(), Saving::No);
        assert_eq!(Saving::parse(&quote! { save }).unwrap(), Saving::Own);
        assert_eq!(Saving::parse(&quote! { save = "json" }).unwrap(), Saving::Json);
        assert_eq!(Saving::parse(&quote! { save = "postcard" }).unwrap(), Saving::Postcard);
        for wrong in [quote! { fast }, quote! { save = 1 }, quote! { save = "toml" }, quote! { save, json }] {
            assert_eq!(Saving::parse(&wrong).unwrap_err().to_string(), EXPECTED, "{wrong}");
        }
    }
}
