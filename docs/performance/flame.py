#!/usr/bin/env python3
"""Draws a flame graph of what `perf script -F comm,ip,sym` prints.

    perf record -F 499 --call-graph dwarf,65000 -e cpu-clock -p PID
    perf script --no-inline -F comm,ip,sym | docs/performance/flame.py 'title' > flame.svg

Only threads whose name begins with one of the words behind the title are drawn, where there are any. What takes less than
one percent of all samples is left out.
"""

import html
import re
import sys

WIDTH, ROW, LEAST = 1200, 16, 0.01
# Below this every stack is alike: the runtime's worker and its task.
ROOT = re.compile(r"tokio::runtime::task::core::Core<.*>::poll$")
# Layers that only pass a call on.
PASSING = re.compile(r"\{\{closure\}\}$|^core::|^std::|^alloc::|catch_unwind|^<.* as core::future::future::Future>::poll$|^\[unknown\]$")


def name(symbol):
    symbol = re.sub(r"::h[0-9a-f]{16}$", "", symbol)
    return re.sub(r"waybill_", "", symbol)


def stacks(lines, wanted):
    stack, comm = [], None
    for line in lines:
        if not line.strip():
            if stack and (not wanted or any(comm.startswith(word) for word in wanted)):
                yield stack[::-1]
            stack, comm = [], None
        elif not line[0].isspace():
            comm = line.split()[0]
        else:
            symbol = line.strip().split(" ", 1)
            if len(symbol) > 1:
                stack.append(symbol[1])


def frames(stack):
    roots = [at for at, symbol in enumerate(stack) if ROOT.search(symbol)]
    stack = stack[roots[-1] + 1 :] if roots else stack
    kept = [name(symbol) for symbol in stack if not PASSING.search(symbol) or "waybill" in symbol]
    # A function and its closures are one frame.
    joined = []
    for frame in kept:
        frame = frame.replace("::{{closure}}", "")
        if not joined or joined[-1] != frame:
            joined.append(frame)
    return joined


def tree(all_stacks):
    root = {"n": 0, "in": {}}
    for stack in all_stacks:
        node = root
        node["n"] += 1
        for frame in frames(stack):
            node = node["in"].setdefault(frame, {"n": 0, "in": {}})
            node["n"] += 1
    return root


def draw(node, label, left, depth, total, out):
    width = WIDTH * node["n"] / total
    hue = sum(map(ord, label)) % 40 + (200 if re.match(r"[a-z_0-9]+$", label) else 10)
    share = 100 * node["n"] / total
    text = html.escape(label if len(label) * 6.2 < width else label[: max(0, int(width / 6.2) - 1)])
    out.append((depth, f'<g><title>{html.escape(label)} {share:.1f}%</title><rect x="{left:.1f}" y="Y{depth}" '
                f'width="{width:.1f}" height="15" fill="hsl({hue},70%,72%)"/>'
                + (f'<text x="{left + 2:.1f}" y="T{depth}">{text}</text>' if width > 25 else "") + "</g>"))
    for inner, child in sorted(node["in"].items()):
        if child["n"] / total >= LEAST:
            draw(child, inner, left, depth + 1, total, out)
        left += WIDTH * child["n"] / total


def main():
    root = tree(stacks([*sys.stdin, "\n"], sys.argv[2:]))
    out = []
    draw(root, f"{root['n']} samples", 0, 0, max(root["n"], 1), out)
    rows = max(depth for depth, _ in out) + 1
    height = (rows + 2) * ROW
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" font-size="10">')
    print(f'<rect width="100%" height="100%" fill="#fff"/><text x="4" y="13" font-size="12">{html.escape(sys.argv[1])}</text>')
    for depth, piece in out:
        y = height - (depth + 1) * ROW
        print(piece.replace(f'"Y{depth}"', f'"{y}"').replace(f'"T{depth}"', f'"{y + 11}"'))
    print("</svg>")


if __name__ == "__main__":
    main()
