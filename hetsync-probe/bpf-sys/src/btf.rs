//! BTF records as they lie in a `.BTF` section (include/uapi/linux/btf.h).

/// First two bytes of a BTF blob.
pub const BTF_MAGIC: u32 = 0xeb9f;
/// `linkage` of a static variable.
pub const BTF_VAR_STATIC: u32 = 0;

/// Encoding bits of an integer type.
#[allow(missing_docs)]
mod int_encoding {
    pub const BTF_INT_SIGNED: u32 = 1;
    pub const BTF_INT_CHAR: u32 = 2;
    pub const BTF_INT_BOOL: u32 = 4;
}
pub use int_encoding::*;

/// Kinds of types, bits 24 to 28 of [`btf_type::info`].
#[allow(missing_docs)]
mod kind {
    pub const BTF_KIND_UNKN: u32 = 0;
    pub const BTF_KIND_INT: u32 = 1;
    pub const BTF_KIND_PTR: u32 = 2;
    pub const BTF_KIND_ARRAY: u32 = 3;
    pub const BTF_KIND_STRUCT: u32 = 4;
    pub const BTF_KIND_UNION: u32 = 5;
    pub const BTF_KIND_ENUM: u32 = 6;
    pub const BTF_KIND_FWD: u32 = 7;
    pub const BTF_KIND_TYPEDEF: u32 = 8;
    pub const BTF_KIND_VOLATILE: u32 = 9;
    pub const BTF_KIND_CONST: u32 = 10;
    pub const BTF_KIND_RESTRICT: u32 = 11;
    pub const BTF_KIND_FUNC: u32 = 12;
    pub const BTF_KIND_FUNC_PROTO: u32 = 13;
    pub const BTF_KIND_VAR: u32 = 14;
    pub const BTF_KIND_DATASEC: u32 = 15;
    pub const BTF_KIND_FLOAT: u32 = 16;
}
pub use kind::*;

/// Head of a BTF blob.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_header {
    pub magic: u16,
    pub version: u8,
    pub flags: u8,
    pub hdr_len: u32,
    pub type_off: u32,
    pub type_len: u32,
    pub str_off: u32,
    pub str_len: u32,
}

/// The size of a sized type, or the type a reference refers to.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union btf_type__bindgen_ty_1 {
    pub size: u32,
    pub type_: u32,
}

/// Head of every type.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_type {
    pub name_off: u32,
    pub info: u32,
    pub __bindgen_anon_1: btf_type__bindgen_ty_1,
}

/// A value of an enumeration.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_enum {
    pub name_off: u32,
    pub val: i32,
}

/// What follows the head of an array type.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_array {
    pub type_: u32,
    pub index_type: u32,
    pub nelems: u32,
}

/// A member of a structure or union.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_member {
    pub name_off: u32,
    pub type_: u32,
    pub offset: u32,
}

/// A parameter of a function prototype.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_param {
    pub name_off: u32,
    pub type_: u32,
}

/// What follows the head of a variable.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_var {
    pub linkage: u32,
}

/// A variable in a data section.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct btf_var_secinfo {
    pub type_: u32,
    pub offset: u32,
    pub size: u32,
}
