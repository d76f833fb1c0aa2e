/*
 * html.h: the frame of a page and its tables.  Plain C11.
 *
 * Pages are well-formed as XML too, have no script, and load nothing.
 */
#ifndef SL_HTML_H
#define SL_HTML_H

#include "report/markup.h"

typedef struct SlHtml
{
	SlMarkup out;
	int tables; /* for their ids */
} SlHtml;

/* Up to and including the page's header; title and lead are UTF-8. */
extern void sl_html_open(SlHtml *page, const char *title, const char *lead);
/* Closes main and writes the footer. */
extern void sl_html_close(SlHtml *page, const char *footer);

/* Links to the sections, then the begin of main. */
extern void sl_html_contents(SlHtml *page, int count, const char *const *ids,
							 const char *const *headings);
/* A part of the page under a heading of the second level. */
extern void sl_html_section(SlHtml *page, const char *id, const char *heading);
extern void sl_html_section_end(SlHtml *page);

extern void sl_html_table(SlHtml *page, const char *caption);
/* Headings of columns; names that begin with '#' are of numbers. */
extern void sl_html_heads(SlHtml *page, int count, const char *const *names);
extern void sl_html_table_end(SlHtml *page);

/* Cells; the first of a row names it. */
extern void sl_html_row_head(SlHtml *page, const char *text);
/* The same for a row that stands out, the model's own. */
extern void sl_html_row_head_own(SlHtml *page, const char *text);
extern void sl_html_row_end(SlHtml *page);
extern void sl_html_cell(SlHtml *page, const char *text);
/* Digits that are a text already, on the right. */
extern void sl_html_cell_digits(SlHtml *page, const char *text);
extern void sl_html_cell_number(SlHtml *page, double value);
extern void sl_html_cell_count(SlHtml *page, long long value);
extern void sl_html_cell_fixed(SlHtml *page, double value, int decimals);
/* A number with a bar that is full at most. */
extern void sl_html_cell_bar(SlHtml *page, double value, int decimals, double most);

/* A paragraph; kind NULL, "note" or "lead". */
extern void sl_html_paragraph(SlHtml *page, const char *kind, const char *text);

/* A figure around a drawing, with its caption. */
extern void sl_html_figure(SlHtml *page);
extern void sl_html_figure_end(SlHtml *page, const char *caption);

/* What a click opens: summary is the line always there. */
extern void sl_html_details(SlHtml *page, const char *summary);
extern void sl_html_details_end(SlHtml *page);

#endif
