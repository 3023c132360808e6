"""Frame, style and script of the page."""

DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 1480px;
 padding: 0 1rem; color: #222; background: #fff; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 1.6rem 0 .3rem; }
p { margin: .3rem 0; color: #555; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0;
 margin: .3rem 0; }
.swatch { width: 14px; height: 14px; vertical-align: -2px; margin-right: .3rem; }
.figures { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { flex: 1 1 360px; max-width: 480px; margin: 0; }
figure svg { width: 100%; font-size: 11px; fill: #444; }
figcaption { font-size: 12px; color: #777; text-align: center; }
.grid { stroke: #e6e6e6; }
.base { stroke: #999; stroke-dasharray: 4 3; }
.ring { fill: none; stroke: #222; stroke-width: 1.4; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .22rem .55rem; border-bottom: 1px solid #e4e4e4; text-align: left;
 vertical-align: top; }
#runs td { white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
th { background: #f5f5f5; white-space: nowrap; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid #0072b2; }
th[aria-sort=ascending] button::after { content: " \\25b2"; }
th[aria-sort=descending] button::after { content: " \\25bc"; }
tr.baseline { font-weight: 600; }
td.missing { color: #aaa; text-align: center; }
code { font-size: 12px; overflow-wrap: anywhere; }
footer { margin-top: 1.5rem; color: #777; }
"""

# Sorts by data-v, as numbers where the column has numbers; what is missing stays last.
SCRIPT = """
document.querySelectorAll('#runs thead th').forEach(function (head, column) {
  head.querySelector('button').addEventListener('click', function () {
    var body = document.querySelector('#runs tbody'), rows = Array.from(body.rows);
    var down = head.getAttribute('aria-sort') === 'ascending', numbers = head.className === 'n';
    function key(row) {
      var text = row.cells[column].getAttribute('data-v');
      return text === null ? null : numbers ? Number(text) : text;
    }
    rows.sort(function (a, b) {
      var x = key(a), y = key(b);
      if (x === null || y === null) { return (x === null) - (y === null); }
      var order = numbers ? x - y : x.localeCompare(y, 'en', {numeric: true});
      return down ? -order : order;
    });
    document.querySelectorAll('#runs thead th').forEach(function (other) {
      other.removeAttribute('aria-sort');
    });
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    rows.forEach(function (row) { body.appendChild(row); });
  });
});
"""
