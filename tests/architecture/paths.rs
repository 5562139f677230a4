//! Collects the paths that a module mentions: in `use` declarations, in its code, and in the arguments
//! of macros.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{UseTree, Visibility};

use crate::source::{Mention, Module, attributes_of, is_compiled};

pub struct PathCollector<'m> {
    pub module: &'m mut Module,
}

impl PathCollector<'_> {
    fn mention(&mut self, path: Vec<String>, span: Span) {
        self.module.mentions.push(Mention { path, line: span.start().line });
    }

    /// Walks down the braces of a `use`. A re-export only passes a name on, so it is not a mention.
    fn import(&mut self, tree: &UseTree, prefix: &[String], is_reexport: bool) {
        let with = |name: &syn::Ident| {
            let own = (name != "self").then(|| name.to_string());
            [prefix, own.as_slice()].concat()
        };
        let (local, name) = match tree {
            UseTree::Path(path) => {
                let own = path.ident.to_string();
                let prefix = [prefix, &[own]].concat();
                return self.import(&path.tree, &prefix, is_reexport);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, prefix, is_reexport));
            }
            UseTree::Glob(glob) => {
                self.module.globs.push(prefix.to_vec());
                return self.mention(prefix.to_vec(), glob.star_token.spans[0]);
            }
            UseTree::Name(name) => (&name.ident, &name.ident),
            UseTree::Rename(rename) => (&rename.rename, &rename.ident),
        };
        let path = with(name);
        let local = if local == "self" { path.last().unwrap().clone() } else { local.to_string() };
        if !is_reexport {
            self.mention(path.clone(), name.span());
        }
        self.module.bindings.insert(local, path);
    }

    /// Macros take any tokens, so paths are found in them as names with `::` between them.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut span = Span::call_site();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.mention(std::mem::take(&mut path), span);
                    }
                    if path.is_empty() {
                        span = ident.span();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.scan(group.stream());
                    colons = 0;
                }
                _ => colons = 0,
            }
        }
        self.mention(path, span);
    }
}

impl<'ast> Visit<'ast> for PathCollector<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_compiled(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], is_reexport);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if is_compiled(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if is_compiled(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if is_compiled(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if is_compiled(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if is_compiled(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.mention(names, path.segments[0].ident.span());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.visit_path(&invocation.path);
        self.scan(invocation.tokens.clone());
    }

    /// `pub(super)` uses nothing of the module that it names.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
