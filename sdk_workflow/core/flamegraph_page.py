"""The HTML page of a flame graph: style, script and data in one file that works offline."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk_workflow.core.flame_tree import FlameBox

__all__ = ["render_page"]


def render_page(title: str, tree: FlameBox, footnotes: Sequence[str] = ()) -> str:
    """Return the page. Names reach it as data and as text nodes, never as markup.

    Args:
        title: Heading of the page.
        tree: The root of the graph.
        footnotes: Lines below it.
    """
    data = json.dumps(tree, separators=(",", ":")).replace("<", "\\u003c")
    notes = "".join(f"<li>{escape(line)}</li>\n" for line in footnotes)
    # The data last: nothing in a name is taken for a place of the page.
    page = _PAGE.replace("__TITLE__", escape(title)).replace("__NOTES__", notes)
    return page.replace("__DATA__", data)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>__TITLE__</title>
<style>
:root { color-scheme: light dark; --paper: #fffdf8; --ink: #1d1b16; --edge: #d8d2c4 }
@media (prefers-color-scheme: dark) { :root { --paper: #1b1a17; --ink: #eee8da; --edge: #454136 } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 13px/1.4 system-ui, sans-serif }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem 1rem;
 align-items: center; padding: .6rem 1rem; background: var(--paper); border-bottom: 1px solid var(--edge) }
h1 { font-size: 1rem; margin: 0; flex: 1 }
input, button { font: inherit; padding: .2rem .5rem }
#detail { padding: .3rem 1rem; min-height: 1.4em; font-family: ui-monospace, monospace }
#graph { position: relative; margin: 0 1rem 1rem }
#graph button { position: absolute; height: 18px; padding: 0 3px; border: 0; border-radius: 2px;
 overflow: hidden; white-space: nowrap; text-align: left; color: #1d1b16; cursor: pointer;
 font: 11px/18px ui-monospace, monospace; box-shadow: inset -1px -1px 0 rgb(0 0 0 / 12%) }
#graph button:hover, #graph button:focus-visible { outline: 2px solid var(--ink); z-index: 1 }
#graph button.found { background: #7aa7ff !important }
#graph button.above { opacity: .55 }
ul { font: 11px/1.5 ui-monospace, monospace }
</style>
</head>
<body>
<header>
<h1>__TITLE__</h1>
<input id="find" type="search" placeholder="Find a function" aria-label="Find a function">
<button id="reset" type="button">Whole graph</button>
</header>
<div id="detail" role="status">Click a box to zoom in, Escape to zoom out.</div>
<main id="graph"></main>
<ul>
__NOTES__</ul>
<script type="application/json" id="data">__DATA__</script>
<script>
"use strict";
const ROW = 19, SMALLEST = 0.0003;
const graph = document.getElementById("graph");
const detail = document.getElementById("detail");
const find = document.getElementById("find");
const link = ([label, value, colour, note, children], parent) => {
  const node = { label, value, colour, note, parent };
  node.children = children.map((child) => link(child, node)).sort((a, b) => b.value - a.value);
  return node;
};
const root = link(JSON.parse(document.getElementById("data").textContent), null);
const percent = (part, whole) => (100 * part / (whole || 1)).toFixed(1) + " %";
const describe = (node) => `${node.label}: ${(node.value / 1e6).toFixed(1)} ms, ` +
  `${percent(node.value, root.value)} of all` +
  (node.parent ? `, ${percent(node.value, node.parent.value)} of its caller` : "") +
  (node.note ? `, ${node.note}` : "");

function draw(focus) {
  const boxes = document.createDocumentFragment();
  let deepest = 0;
  const place = (node, depth, left, width, above) => {
    const box = document.createElement("button");
    box.type = "button";
    box.textContent = node.label;
    box.style.cssText = `left:${left * 100}%;width:${width * 100}%;top:${depth * ROW}px;background:${node.colour}`;
    box.classList.toggle("above", above);
    box.classList.toggle("found", find.value !== "" && node.label.includes(find.value));
    box.onmouseenter = box.onfocus = () => { detail.textContent = describe(node); };
    box.onclick = () => draw(node);
    boxes.append(box);
    deepest = Math.max(deepest, depth);
  };
  const path = [];
  for (let node = focus.parent; node; node = node.parent) path.unshift(node);
  path.forEach((node, depth) => place(node, depth, 0, 1, true));
  const pending = [[focus, path.length, 0, 1]];
  while (pending.length) {
    const [node, depth, left, width] = pending.pop();
    place(node, depth, left, width, false);
    let offset = left;
    for (const child of node.children) {
      const share = width * child.value / (node.value || 1);
      if (share > SMALLEST) pending.push([child, depth + 1, offset, share]);
      offset += share;
    }
  }
  graph.replaceChildren(boxes);
  graph.style.height = `${(deepest + 1) * ROW}px`;
  current = focus;
}

let current = root;
find.oninput = () => draw(current);
document.getElementById("reset").onclick = () => draw(root);
document.onkeydown = (event) => { if (event.key === "Escape") draw(current.parent || root); };
draw(root);
</script>
</body>
</html>
"""
