use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::Ident;

use crate::item::room_type;

const SDK: &str = "stateroom-sdk-core";

/// The item as it was, and behind it either the export or one error.
pub(crate) fn expand(arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    let behind = match (room_type(arguments, item), sdk_path()) {
        (Ok(room), Ok(sdk)) => quote! { #sdk::__export!(#room); },
        (Err(error), _) | (_, Err(error)) => error.into_compile_error(),
    };
    quote! { #item #behind }
}

/// The path of the SDK under whatever name the guest's `Cargo.toml` gives it.
fn sdk_path() -> syn::Result<TokenStream> {
    match crate_name(SDK) {
        Ok(FoundCrate::Itself) => {
            // The SDK's own documentation and tests see it from outside.
            let name = Ident::new("stateroom_sdk_core", Span::call_site());
            Ok(quote! { ::#name })
        }
        Ok(FoundCrate::Name(name)) => {
            let name = format_ident!("{name}");
            Ok(quote! { ::#name })
        }
        Err(error) => Err(syn::Error::new(
            Span::call_site(),
            format!("#[stateroom_wasm] needs the package {SDK} among the dependencies: {error}"),
        )),
    }
}
