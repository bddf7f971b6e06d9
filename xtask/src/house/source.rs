//! One Rust file, parsed: its modules, and what each of them imports and names. Knows nothing of other files.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::lines::Lines;

/// A path as it stands in the source, without generic arguments.
pub(super) type Path = Vec<String>;

/// The content of one file.
pub(super) struct Source {
    /// The module of the file, and its inline modules.
    pub(super) modules: Vec<Module>,
    pub(super) lines: Lines,
    /// Whether the word `unsafe` is in its code, tests included.
    pub(super) is_unsafe: bool,
}

/// One module without its test code.
#[derive(Default)]
pub(super) struct Module {
    /// The path from the file's module; empty for that module itself.
    pub(super) name: Path,
    /// The modules declared without a body.
    pub(super) declared: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// The paths in code. A name alone is a path too.
    pub(super) paths: BTreeSet<Path>,
    /// The types of `impl` blocks.
    pub(super) impls: Vec<Path>,
}

/// One name that a `use` declaration brings in.
pub(super) struct Import {
    /// `*` for all names of a module.
    pub(super) name: String,
    pub(super) path: Path,
    /// Whether it is re-exported: `pub use`, with any restriction.
    pub(super) public: bool,
}

impl Source {
    /// # Errors
    /// When the text is not Rust.
    pub(super) fn parse(text: &str) -> syn::Result<Source> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader { modules: vec![Module::default()], current: 0, test_lines: BTreeSet::new() };
        reader.visit_file(&file);
        let (lines, is_unsafe) =
            (Lines::count(text, &reader.test_lines), says_unsafe(file.into_token_stream()));
        Ok(Source { modules: reader.modules, lines, is_unsafe })
    }
}

fn says_unsafe(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "unsafe",
        TokenTree::Group(group) => says_unsafe(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

impl Module {
    /// A path whose first word, if imported, is replaced by the path of the import.
    pub(super) fn written_out(&self, path: &[String]) -> Path {
        let import = self.imports.iter().find(|import| path.first() == Some(&import.name));
        import.map_or_else(|| path.to_vec(), |import| [&import.path, &path[1..]].concat())
    }
}

struct Reader {
    modules: Vec<Module>,
    /// The index of the current module.
    current: usize,
    test_lines: BTreeSet<usize>,
}

impl Reader {
    fn module(&mut self) -> &mut Module {
        &mut self.modules[self.current]
    }

    /// Whether the item is test code, by its attributes. Then its lines are added to `test_lines`.
    fn skips(&mut self, item: &(impl ToTokens + Spanned)) -> bool {
        let is_test = is_test(item.to_token_stream());
        if is_test {
            self.test_lines.extend(item.span().start().line..=item.span().end().line);
        }
        is_test
    }

    fn add_imports(&mut self, tree: &syn::UseTree, mut path: Path, public: bool) {
        let name = match tree {
            syn::UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.add_imports(&inner.tree, path, public);
            }
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.add_imports(tree, path.clone(), public));
            }
            syn::UseTree::Glob(_) => "*".to_owned(),
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                name.ident.to_string()
            }
            syn::UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                rename.rename.to_string()
            }
        };
        // `use a::{self}` brings in `a`.
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
        self.module().imports.push(Import { name, path, public });
    }

    /// Adds the paths in the arguments of a macro, which `syn` does not parse.
    fn add_paths_of_macro(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Path::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 => path.push(word.to_string()),
                TokenTree::Ident(word) => self.add_path(std::mem::replace(&mut path, vec![word.to_string()])),
                TokenTree::Group(group) => self.add_paths_of_macro(group.stream()),
                TokenTree::Punct(sign) if sign.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                _ => {}
            }
            colons = 0;
        }
        self.add_path(path);
    }

    fn add_path(&mut self, path: Path) {
        self.module().paths.insert(path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !self.skips(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        if !self.skips(item) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        let Some((_, items)) = &item.content else { return self.module().declared.push(name) };
        let inner = Module { name: [&self.module().name[..], &[name]].concat(), ..Module::default() };
        let outer = std::mem::replace(&mut self.current, self.modules.len());
        self.modules.push(inner);
        items.iter().for_each(|item| self.visit_item(item));
        self.current = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_imports(&item.tree, Path::new(), !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.module().impls.extend(named_type(&item.self_ty));
        visit::visit_item_impl(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(words(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.add_paths_of_macro(item.tokens.clone());
    }

    /// Names in attributes are not imports.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

fn words(path: &syn::Path) -> Path {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The path of the type of an `impl`, if a module can define it.
fn named_type(of: &syn::Type) -> Option<Path> {
    match of {
        syn::Type::Path(path) if path.qself.is_none() => Some(words(&path.path)),
        syn::Type::Reference(reference) => named_type(&reference.elem),
        syn::Type::TraitObject(object) => object.bounds.iter().find_map(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => Some(words(&bound.path)),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether one of the attributes in front is `#[cfg(test)]`, `#[cfg(any(test, fuzzing))]` or the like.
fn is_test(item: TokenStream) -> bool {
    let mut tokens = item.into_iter();
    while let (Some(TokenTree::Punct(_)), Some(TokenTree::Group(attribute))) = (tokens.next(), tokens.next())
    {
        let text = attribute.to_string();
        if text.starts_with("[cfg") && text.contains("test") && !text.contains("not") {
            return true;
        }
    }
    false
}
