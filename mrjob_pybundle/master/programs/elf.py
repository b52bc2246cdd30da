"""As much of the ELF format as it takes to see which libraries a file needs, of which versions, and where it looks.

Fields are named as in the System V ABI, chapter "Object Files", which gives their places; those of versions as in the
Linux Standard Base, chapter "Symbol Versioning".
"""

import struct

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_SONAME, DT_RPATH, DT_RUNPATH = 1, 5, 14, 15, 29
DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
VER_FLG_WEAK = 2


class NotElfError(Exception):
    """The file is no ELF file, or a broken one."""


class Elf(object):
    """The dynamic section of the file *path*, or of *content*, a file that is open already and goes by that name.

    machine: (class, byte order, architecture): a library fits a program if the two have the same.
    is_dynamic: whether there is a dynamic section at all.
    needed: names of libraries.
    rpath, runpath: lists of directories as written ($ORIGIN not expanded), or None.
    needed_versions: {name of a library: names of versions that it must have, or the file is not loaded}.
    defined_versions: names of the versions that the file itself has.
    """

    def __init__(self, path, content=None):
        self.path = path
        self.needed, self.soname, self.rpath, self.runpath = [], None, None, None
        self.needed_versions, self.defined_versions = {}, set()
        self.is_dynamic = False
        self._runpath_at = None
        if content is None:
            with open(path, "rb") as content:
                self._read_checked(content)
        else:
            self._read_checked(content)

    def _read_checked(self, file):
        try:
            self._read(file)
        except (struct.error, ValueError, OverflowError, EnvironmentError):
            # Places in the file that no file has, also beyond what a system can seek.
            raise NotElfError(self.path)

    def _read(self, file):
        file.seek(0)
        ident = file.read(16)
        if ident[:4] != b"\x7fELF" or ident[4:5] not in (b"\1", b"\2"):
            raise NotElfError(self.path)
        self._order = "<" if ident[5:6] == b"\1" else ">"
        self._wide = ident[4:5] == b"\2"
        (e_machine,) = self._at(file, 18, "H")
        self.machine = (ident[4:5], ident[5:6], e_machine)
        if self._wide:
            (e_phoff,) = self._at(file, 32, "Q")
            e_phentsize, e_phnum = self._at(file, 54, "HH")
        else:
            (e_phoff,) = self._at(file, 28, "I")
            e_phentsize, e_phnum = self._at(file, 42, "HH")
        segments = [self._segment(file, e_phoff + number * e_phentsize) for number in range(e_phnum)]
        loaded = [segment for segment in segments if segment[0] == PT_LOAD]
        for p_type, p_offset, _, p_filesz in segments:
            if p_type == PT_DYNAMIC:
                self.is_dynamic = True
                self._read_dynamic(file, p_offset, p_filesz, loaded)

    def _segment(self, file, place):
        if self._wide:
            p_type, _, p_offset, p_vaddr, _, p_filesz = self._at(file, place, "IIQQQQ")
        else:
            p_type, p_offset, p_vaddr, _, p_filesz = self._at(file, place, "IIIII")
        return p_type, p_offset, p_vaddr, p_filesz

    def _read_dynamic(self, file, offset, size, loaded):
        entry = "qQ" if self._wide else "iI"
        step = struct.calcsize(self._order + entry)
        entries = []
        for place in range(offset, offset + size, step):
            d_tag, d_val = self._at(file, place, entry)
            if d_tag == 0:
                break
            entries.append((d_tag, d_val, place))
        strings = [self._offset(d_val, loaded) for d_tag, d_val, _ in entries if d_tag == DT_STRTAB]
        for d_tag, d_val, place in entries:
            if d_tag not in (DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH) or not strings:
                continue
            text = self._string(file, strings[0] + d_val)
            if d_tag == DT_NEEDED:
                self.needed.append(text)
            elif d_tag == DT_SONAME:
                self.soname = text
            elif d_tag == DT_RPATH:
                self.rpath = text.split(":")
            else:
                self.runpath, self._runpath_at = text.split(":"), place
        if strings:
            self._read_versions(file, dict((d_tag, d_val) for d_tag, d_val, _ in entries), strings[0], loaded)

    def _read_versions(self, file, values, strings, loaded):
        """Both tables are lists of entries with lists of their own; each place is relative to the one before."""
        if DT_VERNEED in values:
            place = self._offset(values[DT_VERNEED], loaded)
            for _ in range(values.get(DT_VERNEEDNUM, 0)):
                _, vn_cnt, vn_file, vn_aux, vn_next = self._at(file, place, "HHIII")
                versions = self.needed_versions.setdefault(self._string(file, strings + vn_file), set())
                inner = place + vn_aux
                for _ in range(vn_cnt):
                    _, vna_flags, _, vna_name, vna_next = self._at(file, inner, "IHHII")
                    if not vna_flags & VER_FLG_WEAK:
                        versions.add(self._string(file, strings + vna_name))
                    if not vna_next:
                        break
                    inner += vna_next
                if not vn_next:
                    break
                place += vn_next
        if DT_VERDEF in values:
            place = self._offset(values[DT_VERDEF], loaded)
            for _ in range(values.get(DT_VERDEFNUM, 0)):
                _, _, _, _, _, vd_aux, vd_next = self._at(file, place, "HHHHIII")
                (vda_name,) = self._at(file, place + vd_aux, "I")
                self.defined_versions.add(self._string(file, strings + vda_name))
                if not vd_next:
                    break
                place += vd_next

    def _offset(self, address, loaded):
        for _, p_offset, p_vaddr, p_filesz in loaded:
            if p_vaddr <= address < p_vaddr + p_filesz:
                return address - p_vaddr + p_offset
        raise NotElfError(self.path)

    def _at(self, file, place, layout):
        file.seek(place)
        return struct.unpack(self._order + layout, file.read(struct.calcsize(self._order + layout)))

    def _string(self, file, place):
        file.seek(place)
        text = b""
        while b"\0" not in text:
            piece = file.read(256)
            if not piece:
                raise NotElfError(self.path)
            text += piece
        text = text.split(b"\0")[0]
        return text if str is bytes else text.decode("utf-8", "surrogateescape")

    def turn_runpath_into_rpath(self):
        """Rewrite the file so that its DT_RUNPATH is a DT_RPATH with the same directories.

        A file with a DT_RUNPATH is searched for along that alone. With a DT_RPATH, the one of the
        executable that loads it counts, too (ld.so(8)). It is one number in the dynamic section.
        """
        with open(self.path, "r+b") as file:
            file.seek(self._runpath_at)
            file.write(struct.pack(self._order + ("q" if self._wide else "i"), DT_RPATH))
        self.rpath, self.runpath = self.runpath, None
