use proc_macro2::TokenStream;
use syn::{Error, Generics, Ident, Item, spanned::Spanned};

/// Finds the type that becomes the room, or says at the guilty token why there is none.
pub(crate) fn room_type(arguments: &TokenStream, item: &TokenStream) -> syn::Result<Ident> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "#[stateroom_wasm] takes no arguments"));
    }
    let item: Item = syn::parse2(item.clone())?;
    let (ident, generics) = match item {
        Item::Struct(item) => (item.ident, item.generics),
        Item::Enum(item) => (item.ident, item.generics),
        Item::Type(item) => (item.ident, item.generics),
        other => {
            return Err(Error::new(
                first_token(&other),
                "#[stateroom_wasm] goes on the struct, enum or type alias that is the room",
            ));
        }
    };
    without_generics(&generics)?;
    Ok(ident)
}

fn without_generics(generics: &Generics) -> syn::Result<()> {
    if generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(
        generics,
        "a room has one concrete type: put #[stateroom_wasm] on a type alias that names the parameters",
    ))
}

fn first_token(item: &Item) -> proc_macro2::Span {
    match item {
        Item::Impl(item) => item.impl_token.span(),
        Item::Fn(item) => item.sig.fn_token.span(),
        Item::Trait(item) => item.trait_token.span(),
        Item::Mod(item) => item.mod_token.span(),
        Item::Union(item) => item.union_token.span(),
        other => other.span(),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn room(item: TokenStream) -> Result<String, String> {
        match room_type(&TokenStream::new(), &item) {
            Ok(ident) => Ok(ident.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn structs_enums_and_aliases_are_rooms() {
        assert_eq!(room(quote! { struct A; }), Ok("A".into()));
        assert_eq!(room(quote! { pub struct B(u32, i8); }), Ok("B".into()));
        assert_eq!(room(quote! { #[derive(Default)] struct C { d: u8 } }), Ok("C".into()));
        assert_eq!(room(quote! { enum D { A, B(u32) } }), Ok("D".into()));
        assert_eq!(room(quote! { type E = F<u32>; }), Ok("E".into()));
    }

    #[test]
    fn other_items_are_refused_with_what_would_do() {
        for item in [quote! { impl A {} }, quote! { fn a() {} }, quote! { trait A {} }] {
            assert!(room(item).unwrap_err().contains("struct, enum or type alias"));
        }
        assert!(room(quote! { struct A<T>(T); }).unwrap_err().contains("type alias"));
        assert!(
            room_type(&quote! { fast }, &quote! { struct A; })
                .unwrap_err()
                .to_string()
                .contains("takes no arguments")
        );
    }
}
