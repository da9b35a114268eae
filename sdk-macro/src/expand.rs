use proc_macro_crate::{Error, FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Ident;

use crate::{item::room_type, saving::Saving};

const SDK: &str = "stateroom-sdk-core";

/// Returns the item unchanged, followed by the export or by one error.
pub(crate) fn expand(arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    let parts = || Ok((Saving::parse(arguments)?, room_type(item)?, sdk_path()?));
    let behind = parts()
        .map_or_else(syn::Error::into_compile_error, |(saving, room, sdk)| export(&sdk, &room, saving));
    quote! { #item #behind }
}

/// Returns the code that makes `room` the room of the module. Every mistake gives one error, at the type's name or at
/// the attribute.
fn export(sdk: &TokenStream, room: &Ident, saving: Saving) -> TokenStream {
    let check = check(room);
    let only_once = only_once();
    let save = (saving != Saving::No).then(|| quote! { , save });
    let save_state = match saving {
        Saving::No | Saving::Own => quote! {},
        Saving::Json => quote! { __sdk::__save_as_json!(#room); },
        Saving::Postcard => quote! { __sdk::__save_as_postcard!(#room); },
    };
    quote! {
        const _: () = {
            // The one use of this path: one error where it leads nowhere.
            use #sdk as __sdk;
            use __sdk::guest::Lacking as _;
            type __Probe = __sdk::guest::Probe<#room>;
            #check
            #only_once
            __sdk::__export!(
                #room,
                __sdk::guest::form(__Probe::SERVICE, __Probe::SIMPLE, __Probe::DEFAULT)
                #save
            );
            #save_state
        };
    }
}

/// Returns code that fails to compile, at the name of a type that cannot be a room. `guest::form` decides what can be
/// one, but it does not know the type's name.
fn check(room: &Ident) -> TokenStream {
    let neither = format!(
        "`{room}` is no room yet: write `impl StateroomService for {room} {{ … }}`, \
         and put `#[derive(Default)]` on the type"
    );
    let no_default = format!(
        "`{room}` has no first state: put `#[derive(Default)]` on the type, \
         or write `impl Default for {room} {{ … }}`"
    );
    let both = format!(
        "`{room}` is a room in two ways: remove its `impl` of `StateroomService` \
         or that of `SimpleStateroomService`"
    );
    quote_spanned! { room.span() =>
        const _: () = match (__Probe::SERVICE, __Probe::SIMPLE, __Probe::DEFAULT) {
            (true, false, true) | (false, true, _) => {}
            (true, true, _) => ::core::panic!("{}", #both),
            (true, false, false) => ::core::panic!("{}", #no_default),
            (false, false, _) => ::core::panic!("{}", #neither),
        };
    }
}

/// Returns an item that a crate can have only once: exported macros belong to the crate's root. If there is a second
/// one, the compiler shows the item's name at both attributes.
fn only_once() -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[macro_export]
        macro_rules! a_crate_has_one_room_so_remove_one_stateroom_wasm {
            () => {};
        }
    }
}

/// Returns the path of the SDK under whatever name the guest's `Cargo.toml` gives it.
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
        Err(Error::CrateNotFound { path, .. }) => Err(syn::Error::new(
            Span::call_site(),
            format!("add `{SDK}` to `[dependencies]` in `{}`: #[stateroom_wasm] needs it", path.display()),
        )),
        Err(error) => Err(syn::Error::new(
            Span::call_site(),
            format!("#[stateroom_wasm] cannot find out what `{SDK}` is called here: {error}"),
        )),
    }
}
