"The structure of the package, read from its imports: packages stand in the order of their folders in nbs/."
import ast
import re

from notebooks import NBS, NOTEBOOKS, ROOT, module_of

PACKAGE = ROOT/'nucleus_cls'


def modules():
    "The dotted name of every module, as Python imports it."
    paths = sorted(p for p in PACKAGE.glob('**/*.py') if not p.stem.startswith('_'))
    return ['.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in paths]


def places():
    "{module: (number of its package, number in it)}: where it stands in the reading order."
    numbers = {}
    for path in NOTEBOOKS:
        parts = [re.match(r'(\d+)_', part) for part in path.relative_to(NBS).parts]
        if all(parts): numbers[module_of(path)] = tuple(int(m[1]) for m in parts)
    return {name: at if len(at) == 2 else (0, at[0]) for name, at in numbers.items()}


def imported(tree, module):
    "Names of our modules that a module's syntax tree imports, at its top, inside functions or by string."
    home = module.split('.')
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = home[:-node.level] if node.level else []
            name = '.'.join([*base, *(node.module or '').split('.')]).removeprefix('nucleus_cls').strip('.')
            if node.level or (node.module or '').startswith('nucleus_cls'):
                yield name
                yield from (f'{name}.{alias.name}'.strip('.') for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r'nucleus_cls(\.\w+)+', node.value): yield node.value.removeprefix('nucleus_cls.')


def layers():
    "A package imports only packages before it, and a module only modules before it; the last of the basics is apart."
    at = places()
    for module, here in sorted(at.items(), key=lambda item: item[1]):
        path = PACKAGE.joinpath(*module.split('.')).with_suffix('.py')
        if not path.exists(): continue
        for name in sorted(set(imported(ast.parse(path.read_text(encoding='utf-8')), module)) & at.keys()):
            if at[name] >= here and name != module:
                yield f'{module} imports {name}, which comes later: {at[name]} after {here}'
