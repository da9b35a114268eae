use proc_macro2::TokenStream;
use syn::{Error, Generics, Ident, Item, Type, spanned::Spanned};

/// Finds the type that becomes the room, or says at the guilty token why there is none.
pub(crate) fn room_type(item: &TokenStream) -> syn::Result<Ident> {
    let item: Item = syn::parse2(item.clone())?;
    let (ident, generics) = match item {
        Item::Struct(item) => (item.ident, item.generics),
        Item::Enum(item) => (item.ident, item.generics),
        Item::Type(item) => (item.ident, item.generics),
        other => return Err(misplaced(&other)),
    };
    without_generics(&generics)?;
    Ok(ident)
}

/// Refuses generic types: a room is made from nothing, so its type must be complete.
fn without_generics(generics: &Generics) -> syn::Result<()> {
    let message = if generics.params.is_empty() {
        return Ok(());
    } else if generics.lifetimes().next().is_some() {
        "a room outlives whatever it could borrow: let it own its data, as in `String` for `&str`, \
         so that its type has no lifetime"
    } else {
        "a room has one concrete type: put #[stateroom_wasm] on a type alias that names the parameters, \
         as in `type Room = …;`"
    };
    Err(Error::new_spanned(generics, message))
}

/// Makes the error that says where the attribute belongs.
fn misplaced(item: &Item) -> Error {
    let token = match item {
        Item::Impl(item) => {
            let room = match &*item.self_ty {
                Type::Path(path) => path.path.segments.last().map(|name| format!(" `{}`", name.ident)),
                _ => None,
            };
            let room = room.unwrap_or_default();
            let message = format!("put #[stateroom_wasm] on the type{room} itself, not on an `impl` for it");
            return Error::new(item.impl_token.span(), message);
        }
        Item::Fn(item) => item.sig.fn_token.span(),
        Item::Trait(item) => item.trait_token.span(),
        Item::Mod(item) => item.mod_token.span(),
        Item::Union(item) => item.union_token.span(),
        other => other.span(),
    };
    Error::new(token, "#[stateroom_wasm] goes on the struct, enum or type alias that is the room")
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn room(item: TokenStream) -> Result<String, String> {
        match room_type(&item) {
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
        for item in [quote! { union A { b: u8 } }, quote! { fn a() {} }, quote! { trait A {} }] {
            assert!(room(item).unwrap_err().contains("struct, enum or type alias"));
        }
        assert!(room(quote! { impl A for b::C<u8> {} }).unwrap_err().contains("the type `C` itself"));
        assert!(room(quote! { struct A<T>(T); }).unwrap_err().contains("type alias"));
        assert!(room(quote! { struct A<'a, T>(&'a T); }).unwrap_err().contains("own its data"));
    }
}
