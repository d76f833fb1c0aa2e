/*
 * html.c: markup of report pages, and their style sheet.
 *
 * One column on a phone, charts side by side where there is room.  Wide tables scroll
 * in a box of their own, which the keyboard reaches.  On paper details stay closed and
 * colours go without backgrounds.
 */
#include "report/html.h"

#include <math.h>
#include <string.h>

static const char style[] =
	":root{color-scheme:light dark;--ink:#1f2328;--quiet:#59636e;--paper:#fff;--line:#d9dee3;"
	"--tint:#f3f5f8;--mark:#0b62b8;--other:#8b949e}"
	"@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--quiet:#a3adb8;"
	"--paper:#14171b;--line:#2c323a;--tint:#1c2127;--mark:#64b1f5;--other:#6b7480}}"
	"*{box-sizing:border-box}"
	"body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"
	"'Segoe UI',Roboto,sans-serif;overflow-wrap:anywhere}"
	"header,main,footer,nav{max-width:70rem;margin:0 auto;padding:0 1.25rem}"
	"header{padding-top:2.5rem}h1{font-size:2rem;line-height:1.2;margin:0 0 .4rem}"
	"h2{font-size:1.3rem;line-height:1.3;margin:0 0 .75rem}"
	"h3{font-size:1.05rem;margin:1.75rem 0 .5rem}"
	"p{max-width:46rem;margin:0 0 1rem}.lead,.note,caption,figcaption{color:var(--quiet)}"
	"nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;margin:1rem 0 0;padding:0}"
	"a{color:var(--mark)}nav a{display:inline-block;padding:.25rem 0}"
	"section{border-top:1px solid var(--line);margin-top:2rem;padding-top:1.75rem}"
	".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;"
	"margin:1.25rem 0}"
	".tiles div{background:var(--tint);border-radius:.5rem;padding:.85rem 1rem}"
	".tiles dt{color:var(--quiet);font-size:.9rem}"
	".tiles dd{margin:0;font-size:1.6rem;line-height:1.3;font-weight:600;"
	"font-variant-numeric:tabular-nums}"
	".tiles dd small{display:block;font-size:.85rem;font-weight:400;color:var(--quiet)}"
	".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));"
	"gap:1.25rem}"
	"figure{margin:0 0 1rem;min-width:0}figure svg{display:block;width:100%;height:auto;"
	"max-width:36rem}figcaption{font-size:.9rem;margin-top:.25rem;max-width:40rem}"
	".wide{overflow-x:auto;margin:0 0 1rem}"
	"table{border-collapse:collapse;min-width:min(100%,18rem);font-size:.95rem;font-variant-numeric:tabular-nums}"
	"caption{text-align:left;padding:0 0 .4rem;font-size:.9rem}"
	"caption span{display:inline-block;position:sticky;left:0;max-width:min(46rem,calc(100vw - 2.5rem))}"
	"th,td{text-align:left;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line);"
	"vertical-align:top;overflow-wrap:break-word;max-width:28rem}"
	"thead th{border-bottom:2px solid var(--other);font-weight:600}"
	"td.t{min-width:11rem}"
	"tbody th{font-weight:500;min-width:5.5rem}.n{text-align:right;white-space:nowrap}"
	"tr.own th,tr.own td{font-weight:700}"
	".bar{display:inline-block;width:6rem;height:.6rem;margin-left:.6rem;background:var(--tint)}"
	".bar i{display:block;height:100%;background:var(--other)}tr.own .bar i{background:var(--mark)}"
	"details{margin:0 0 1rem}summary{cursor:pointer;color:var(--mark);padding:.35rem 0}"
	"details .wide{max-height:24rem;overflow:auto;margin-top:.5rem}"
	"pre,code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
	"pre{white-space:pre-wrap;background:var(--tint);border-radius:.5rem;padding:.75rem 1rem;margin:0 0 1rem}"
	":focus-visible{outline:2px solid var(--mark);outline-offset:2px}"
	"footer{color:var(--quiet);font-size:.9rem;padding-top:1.5rem;padding-bottom:2.5rem}"
	"@media (max-width:30rem){h1{font-size:1.6rem}.bar{width:3rem}th,td{padding-right:.7rem}}"
	"@media print{body{font-size:10.5pt}nav,details{display:none}section,figure,tr,.tiles div"
	"{break-inside:avoid}section{break-inside:auto}h2,h3,caption{break-after:avoid}"
	"header,main,footer{max-width:none;padding-left:0;padding-right:0}.wide{overflow:visible}"
	".tiles div{border:1px solid var(--line)}.bar,.bar i{print-color-adjust:exact}}";

static void
element(SlHtml *page, const char *open, const char *text, const char *close)
{
	sl_put(&page->out, open);
	sl_put_text(&page->out, text);
	sl_put(&page->out, close);
}

void
sl_html_open(SlHtml *page, const char *title, const char *lead)
{
	page->tables = 0;
	sl_put(&page->out,
		   "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">"
		   "\n<head>\n<meta charset=\"utf-8\"/>\n"
		   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
		   "<meta name=\"color-scheme\" content=\"light dark\"/>\n");
	element(page, "<title>", title, "</title>\n<style>");
	sl_put(&page->out, style);
	element(page, "</style>\n</head>\n<body>\n<header>\n<h1>", title, "</h1>\n");
	element(page, "<p class=\"lead\">", lead, "</p>\n</header>\n");
}

void
sl_html_contents(SlHtml *page, int count, const char *const *ids,
				 const char *const *headings)
{
	sl_put(&page->out, "<nav aria-label=\"Contents\">\n<ul>\n");
	for (int i = 0; i < count; i++)
	{
		sl_putf(&page->out, "<li><a href=\"#%s\">", ids[i]);
		element(page, "", headings[i], "</a></li>\n");
	}
	sl_put(&page->out, "</ul>\n</nav>\n<main>\n");
}

void
sl_html_close(SlHtml *page, const char *footer)
{
	element(page, "</main>\n<footer>\n<p>", footer,
			"</p>\n</footer>\n</body>\n</html>\n");
}

void
sl_html_section(SlHtml *page, const char *id, const char *heading)
{
	sl_putf(&page->out, "<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">",
			id, id, id);
	element(page, "", heading, "</h2>\n");
}

void
sl_html_section_end(SlHtml *page)
{
	sl_put(&page->out, "</section>\n");
}

/* ---- tables ---- */

void
sl_html_table(SlHtml *page, const char *caption)
{
	page->tables++;
	sl_putf(
		&page->out,
		"<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"table%d\">\n<table>\n"
		"<caption><span id=\"table%d\">",
		page->tables, page->tables);
	element(page, "", caption, "</span></caption>\n");
}

void
sl_html_heads(SlHtml *page, int count, const char *const *names)
{
	sl_put(&page->out, "<thead><tr>");
	for (int i = 0; i < count; i++)
		if (names[i][0] == '#')
			element(page, "<th scope=\"col\" class=\"n\">", names[i] + 1, "</th>");
		else
			element(page, "<th scope=\"col\">", names[i], "</th>");
	sl_put(&page->out, "</tr></thead>\n<tbody>\n");
}

void
sl_html_table_end(SlHtml *page)
{
	sl_put(&page->out, "</tbody>\n</table>\n</div>\n");
}

void
sl_html_row_head(SlHtml *page, const char *text)
{
	element(page, "<tr><th scope=\"row\">", text, "</th>");
}

void
sl_html_row_head_own(SlHtml *page, const char *text)
{
	element(page, "<tr class=\"own\"><th scope=\"row\">", text, "</th>");
}

void
sl_html_row_end(SlHtml *page)
{
	sl_put(&page->out, "</tr>\n");
}

void
sl_html_cell(SlHtml *page, const char *text)
{
	/* long texts keep a width to be read in: the table scrolls */
	element(page, strlen(text) > 24 ? "<td class=\"t\">" : "<td>", text, "</td>");
}

void
sl_html_cell_digits(SlHtml *page, const char *text)
{
	element(page, "<td class=\"n\">", text, "</td>");
}

void
sl_html_cell_number(SlHtml *page, double value)
{
	sl_put(&page->out, "<td class=\"n\">");
	sl_put_number(&page->out, value);
	sl_put(&page->out, "</td>");
}

void
sl_html_cell_fixed(SlHtml *page, double value, int decimals)
{
	sl_put(&page->out, "<td class=\"n\">");
	sl_put_fixed(&page->out, value, decimals);
	sl_put(&page->out, "</td>");
}

void
sl_html_cell_count(SlHtml *page, long long value)
{
	sl_put(&page->out, "<td class=\"n\">");
	sl_put_count(&page->out, value);
	sl_put(&page->out, "</td>");
}

void
sl_html_cell_bar(SlHtml *page, double value, int decimals, double most)
{
	double part = value / most;

	sl_put(&page->out, "<td class=\"n\">");
	sl_put_fixed(&page->out, value, decimals);
	sl_putf(
		&page->out,
		"<span class=\"bar\" aria-hidden=\"true\"><i style=\"width:%.0f%%\"></i></span></td>",
		isfinite(part) ? 100 * fmax(0, fmin(part, 1)) : 0);
}

/* ---- text, figures, details ---- */

void
sl_html_paragraph(SlHtml *page, const char *kind, const char *text)
{
	if (kind)
		sl_putf(&page->out, "<p class=\"%s\">", kind);
	element(page, kind ? "" : "<p>", text, "</p>\n");
}

void
sl_html_figure(SlHtml *page)
{
	sl_put(&page->out, "<figure>\n");
}

void
sl_html_figure_end(SlHtml *page, const char *caption)
{
	element(page, "\n<figcaption>", caption, "</figcaption>\n</figure>\n");
}

void
sl_html_details(SlHtml *page, const char *summary)
{
	element(page, "<details>\n<summary>", summary, "</summary>\n");
}

void
sl_html_details_end(SlHtml *page)
{
	sl_put(&page->out, "</details>\n");
}
