/*
 * markup.h: writing HTML and SVG.  Plain C11; the bytes go where the caller's sink puts
 * them.
 *
 * Everything written is ASCII: what lies beyond goes out as character references, so a
 * page reads the same whatever encoding it is saved in.
 */
#ifndef SL_MARKUP_H
#define SL_MARKUP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct SlMarkup
{
	void (*write)(void *context, const char *bytes, size_t count);
	void *context;
} SlMarkup;

/* Markup as it is; never for text that comes from outside. */
extern void sl_put(SlMarkup *m, const char *markup);
/* The same with numbers filled in; at most 500 bytes. */
extern void sl_putf(SlMarkup *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* UTF-8 text, escaped for content and for quoted attributes.  Bytes that are not UTF-8
 * and characters that XML has no place for or that reorder others become U+FFFD. */
extern void sl_put_text(SlMarkup *m, const char *text);
/* At most so many characters of it, with an ellipsis for the rest. */
extern void sl_put_short(SlMarkup *m, const char *text, int characters);

/* A number to read by itself: four significant digits, or whole with thousands apart. */
extern void sl_number_label(double value, char *label, size_t size);
extern void sl_put_number(SlMarkup *m, double value);
/* The decimals that show four digits of the largest value of a column, and such values.
 */
extern int sl_decimals(double largest);
extern void sl_put_fixed(SlMarkup *m, double value, int decimals);
extern void sl_put_count(SlMarkup *m, long long value);

#endif
