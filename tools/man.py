#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Man pages from Doxygen's XML: one for each group, and a link to it from each of its functions.

    tools/man.py build/docs/xml build/docs/man/man3

Doxygen's own man pages turn each " into ', which is no C, and leave out structs.
"""
import pathlib
import re
import sys
import textwrap
import xml.etree.ElementTree as ET

WIDTH = 76
SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq", "`": "\\(ga", "^": "\\(ha",
           "~": "\\(ti"}


def escape(text):
    """Text as troff prints it again, whatever it begins with."""
    text = "".join(SPECIAL.get(c, c if c < "\x7f" else f"\\[u{ord(c):04X}]") for c in text)
    return re.sub(r"(?m)^\.", r"\\&.", text)


def inline(node):
    """The text of a paragraph as troff, with its verbatim blocks."""
    out = escape(node.text or "")
    for child in node:
        if child.tag == "verbatim":
            out += f"\n.PP\n.nf\n.RS 4\n{escape(child.text.rstrip())}\n.RE\n.fi\n.PP\n"
        elif child.tag in ("bold", "ref"):
            out += f"\\fB{inline(child)}\\fP"
        elif child.tag in ("computeroutput", "emphasis"):
            out += f"\\fI{inline(child)}\\fP"
        else:
            sys.exit(f"man.py: what is a <{child.tag}> in a man page?")
        tail = escape(child.tail or "")
        out += tail.lstrip() if child.tag == "verbatim" else tail
    return out


def paragraphs(node):
    """Brief and detailed description as troff."""
    found = [inline(para).strip().removesuffix(".PP").strip()
             for part in ("briefdescription", "detaileddescription")
             for para in node.find(part).iter("para")]
    # The brief is the first sentence of the first paragraph, unless a blank line follows it.
    if node.find("briefdescription/para") is not None and len(found) > 1 and joins(node):
        found[:2] = [f"{found[0]} {found[1]}"]
    return "\n.PP\n".join(found)


def joins(node):
    para = node.find("detaileddescription/para")
    if para is None or para.find("verbatim") is not None and not (para.text or "").strip():
        return False
    return not re.match(r"(Threads|Ownership|Cancel)\b", para.text or "")


def flat(node):
    return "".join(node.itertext()).strip() if node is not None else ""


def prototype(member):
    result = flat(member.find("type"))
    head = result + ("" if result.endswith("*") else " ") + flat(member.find("name"))
    text = head + flat(member.find("argsstring")).replace("(*", " (*", 1).lstrip() + ";"
    # Break between arguments only.
    lines = textwrap.wrap(text.replace(", ", ",\0").replace(" ", "\1").replace("\0", " "), WIDTH,
                          subsequent_indent="    ")
    return "\n".join(lines).replace("\1", " ")


def declaration(member):
    kind, name = member.get("kind"), flat(member.find("name"))
    if kind == "function":
        return prototype(member)
    if kind == "enum":
        return f"enum {name}"
    if kind == "typedef":
        return f"{flat(member.find('definition'))};"
    return f"#define {name} {flat(member.find('initializer'))}".rstrip()


def heading(text):
    lines = escape(text).splitlines()
    return ".PP\n.nf\n" + "\n".join(f"\\fB{line}\\fP" for line in lines) + "\n.fi\n"


def tagged(items):
    return "".join(f".TP\n\\fI{escape(name)}\\fP\n{text}\n" for name, text in items)


def entry(member):
    text = heading(declaration(member)) + ".RS 4\n" + paragraphs(member) + "\n"
    if member.get("kind") == "enum":
        text += tagged((flat(v.find("name")) + " " + flat(v.find("initializer")),
                        paragraphs(v)) for v in member.iter("enumvalue"))
    return text + ".RE\n"


def struct(xml, refid):
    compound = ET.parse(xml / f"{refid}.xml").getroot().find("compounddef")
    name = flat(compound.find("compoundname"))
    fields = []
    for field in compound.iter("memberdef"):
        kind = flat(field.find("type"))
        called = flat(field.find("name")) + flat(field.find("argsstring"))
        if kind.startswith("union"):
            # One without a name is "@2" here, and "__unnamed2__" there.
            file = re.sub(r"^@(\d+)$", r"____unnamed\1____", called)
            inner = ET.parse(xml / f"union{name.replace('_', '__')}_8{file}.xml").getroot()
            parts = "; ".join(f"{flat(f.find('type'))} {flat(f.find('name'))}"
                              for f in inner.iter("memberdef"))
            kind = f"union {{ {parts}; }}"
            called = "" if called.startswith("@") else called
        space = "" if kind.endswith("*") or not called else " "
        fields.append((f"{kind}{space}{called};", paragraphs(field)))
    return (heading(f"struct {name}") + ".RS 4\n" + paragraphs(compound) + "\n" +
            tagged(fields) + ".RE\n")


def page(xml, group, titles, version):
    name = flat(group.find("compoundname"))
    title = flat(group.find("title"))
    functions = [m for m in group.iter("memberdef") if m.get("kind") == "function"]
    others = [m for m in group.iter("memberdef") if m.get("kind") != "function"]
    structs = [c.get("refid") for c in group.iter("innerclass") if "." not in flat(c)]
    called = [flat(f.find("name")) for f in functions]
    names = [name] + [n for n in called if n != name]
    header = "pier.h" if name == "pier" else f"pier/{name.removeprefix('pier_')}.h"

    out = f'.TH {name} 3 "" "pier {version}" "Library Functions Manual"\n'
    out += f".SH NAME\n{escape(', '.join(names))} \\- {escape(title)}\n"
    out += f".SH SYNOPSIS\n.nf\n\\fB#include <{escape(header)}>\\fP\n"
    out += "".join(f"\n{escape(prototype(f))}\n" for f in functions)
    out += ".fi\n.SH DESCRIPTION\n" + paragraphs(group) + "\n"
    for section in group.findall("sectiondef"):
        inside = [m for m in section.findall("memberdef") if m.get("kind") == "function"]
        if inside:
            out += f'.SH "{escape(flat(section.find("header")) or "Functions").upper()}"\n'
            described = section.find("description")
            out += "\n.PP\n".join(inline(p) for p in described.iter("para")) + "\n" \
                if described is not None else ""
            out += "".join(entry(m) for m in inside)
    if structs or others:
        out += ".SH TYPES\n" if structs or any(m.get("kind") != "define" for m in others) \
            else ".SH CONSTANTS\n"
        out += "".join(struct(xml, s) for s in structs) + "".join(entry(m) for m in others)
    out += ".SH SEE ALSO\n" + ",\n".join(f"\\fB{t}\\fP(3)" for t in titles if t != name) + "\n"
    return called, out


def main(xml, man):
    xml, man = pathlib.Path(xml), pathlib.Path(man)
    man.mkdir(parents=True, exist_ok=True)
    for old in man.glob("*.3"):
        old.unlink()
    top = pathlib.Path(__file__).resolve().parent.parent
    text = (top / "include/pier/version.h").read_text()
    version = re.search(r'define PIER_VERSION\s+"(.*)"', text).group(1)
    groups = [ET.parse(f).getroot().find("compounddef") for f in sorted(xml.glob("group__*.xml"))]
    titles = [flat(g.find("compoundname")) for g in groups]
    links = {}
    for group, name in zip(groups, titles):
        functions, text = page(xml, group, titles, version)
        (man / f"{name}.3").write_text(text)
        links |= {f: name for f in functions}
    for function, name in links.items():
        if function not in titles:
            (man / f"{function}.3").write_text(f".so man3/{name}.3\n")
        elif function != name:  # pier_error() is told where pier_error is
            sys.exit(f"man.py: {function}(3) is a page, but the function is told in {name}(3)")


main(*sys.argv[1:])
