//! Kernel modules in the order they must be loaded.
//!
//! Debian's packages have no `modules.dep`: `depmod` writes it at
//! installation. So the dependencies are read where depmod reads them too, in
//! each module's own `.modinfo` section.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use object::{Object, ObjectSection};

use crate::{
    error::{Error, Result, at},
    kernel::Files,
    paths::output,
};

/// A module as it goes into the guest.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// Its name as the kernel writes it, with underscores.
    pub(crate) name: String,
    /// The uncompressed object.
    pub(crate) bytes: Vec<u8>,
    /// The modules it needs, by name.
    pub(crate) depends: Vec<String>,
}

/// The named modules and all that they need, each after what it needs.
/// Modules built into the kernel are left out.
pub(crate) fn resolve(files: &Files, wanted: &[&str]) -> Result<Vec<Module>> {
    let mut paths = HashMap::new();
    index(&files.modules.join("kernel"), &mut paths)?;
    let builtin_list = files.modules.join("modules.builtin");
    let builtin = fs::read_to_string(&builtin_list).map_err(at(&builtin_list))?;
    let builtin: Vec<String> = builtin
        .lines()
        .filter_map(|line| module_name(Path::new(line)))
        .collect();
    load_order(wanted, &|name| {
        if builtin.iter().any(|built| built == name) {
            return Ok(None);
        }
        let path = paths.get(name).ok_or_else(|| Error::Malformed {
            path: files.modules.clone(),
            what: format!("the kernel has no module {name}"),
        })?;
        read(name, path).map(Some)
    })
}

/// A depth-first walk; `find` gives a module, or `None` if it is built in.
fn load_order(
    wanted: &[&str],
    find: &dyn Fn(&str) -> Result<Option<Module>>,
) -> Result<Vec<Module>> {
    fn visit(
        name: &str,
        find: &dyn Fn(&str) -> Result<Option<Module>>,
        seen: &mut Vec<String>,
        order: &mut Vec<Module>,
    ) -> Result<()> {
        // A name is noted before its needs are looked at, so that even a
        // circle, which the kernel never has, would end.
        if seen.iter().any(|known| known == name) {
            return Ok(());
        }
        seen.push(name.to_owned());
        if let Some(module) = find(name)? {
            for need in &module.depends {
                visit(need, find, seen, order)?;
            }
            order.push(module);
        }
        Ok(())
    }
    let mut order = Vec::new();
    let mut seen = Vec::new();
    for name in wanted {
        visit(&name.replace('-', "_"), find, &mut seen, &mut order)?;
    }
    Ok(order)
}

/// Notes the path of every module below `folder` by its name.
fn index(folder: &Path, paths: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            index(&path, paths)?;
        } else if let Some(name) = module_name(&path) {
            paths.insert(name, path);
        }
    }
    Ok(())
}

/// `.../sch-netem.ko.xz` is the module `sch_netem`.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (name, compression) = file.rsplit_once(".ko")?;
    let known = ["", ".xz", ".zst", ".gz"].contains(&compression);
    known.then(|| name.replace('-', "_"))
}

fn read(name: &str, path: &Path) -> Result<Module> {
    let bytes = match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => output(Command::new("xz").arg("-dc").arg(path), "xz-utils")?,
        Some("zst") => output(Command::new("zstd").arg("-dc").arg(path), "zstd")?,
        Some("gz") => output(Command::new("gzip").arg("-dc").arg(path), "gzip")?,
        _ => fs::read(path).map_err(at(path))?,
    };
    let depends = depends(&bytes).ok_or_else(|| Error::Malformed {
        path: path.to_owned(),
        what: "not a kernel module: no .modinfo section".to_owned(),
    })?;
    Ok(Module {
        name: name.to_owned(),
        bytes,
        depends,
    })
}

/// The `depends=` entry of a module's `.modinfo` section.
fn depends(module: &[u8]) -> Option<Vec<String>> {
    let file = object::File::parse(module).ok()?;
    let section = file.section_by_name(".modinfo")?;
    Some(depends_entry(section.data().ok()?))
}

/// Entries are `name=value` strings, each ended by a zero byte.
fn depends_entry(modinfo: &[u8]) -> Vec<String> {
    modinfo
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"depends="))
        .map(|names| String::from_utf8_lossy(names).into_owned())
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(name: &str) -> Result<Option<Module>> {
        let depends: &[&str] = match name {
            "virtio_console" => &["virtio", "virtio_ring"],
            "virtio_pci" => &["virtio_ring", "virtio", "virtio_pci_modern_dev"],
            "virtio_ring" => &["virtio"],
            "ext4" => return Ok(None),
            "missing" => return Err(Error::Usage("missing".to_owned())),
            "circle_a" => &["circle_b"],
            "circle_b" => &["circle_a"],
            _ => &[],
        };
        Ok(Some(Module {
            name: name.to_owned(),
            bytes: Vec::new(),
            depends: depends.iter().map(|need| (*need).to_owned()).collect(),
        }))
    }

    fn order(wanted: &[&str]) -> Vec<String> {
        let modules = load_order(wanted, &fake).unwrap();
        modules.into_iter().map(|module| module.name).collect()
    }

    #[test]
    fn a_module_comes_once_and_after_what_it_needs() {
        assert_eq!(
            order(&["virtio-console", "veth", "virtio_pci", "ext4"]),
            [
                "virtio",
                "virtio_ring",
                "virtio_console",
                "veth",
                "virtio_pci_modern_dev",
                "virtio_pci"
            ]
        );
        assert_eq!(order(&["circle_a"]), ["circle_b", "circle_a"]);
        assert!(load_order(&["veth", "missing"], &fake).is_err());
    }

    #[test]
    fn modinfo_gives_the_needs_of_a_module() {
        let modinfo = b"license=GPL\0depends=virtio,virtio-ring\0\0retpoline=Y\0";
        assert_eq!(depends_entry(modinfo), ["virtio", "virtio_ring"]);
        assert_eq!(
            depends_entry(b"license=GPL\0depends=\0"),
            Vec::<String>::new()
        );
        assert_eq!(depends_entry(b""), Vec::<String>::new());
    }

    #[test]
    fn file_names_give_module_names() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(
            name("kernel/virtio-rng.ko.xz").as_deref(),
            Some("virtio_rng")
        );
        assert_eq!(name("veth.ko").as_deref(), Some("veth"));
        assert_eq!(name("modules.order"), None);
        assert_eq!(name("veth.ko.old"), None);
    }
}
