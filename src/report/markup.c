/*
 * markup.c: escaping, and numbers as people read them.
 */
#include "report/markup.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "report/scale.h"

#define REPLACEMENT 0xFFFD

void
sl_put(SlMarkup *m, const char *markup)
{
	m->write(m->context, markup, strlen(markup));
}

void
sl_putf(SlMarkup *m, const char *format, ...)
{
	char buffer[512];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buffer, sizeof(buffer), format, args);
	va_end(args);
	if (length > 0)
		m->write(m->context, buffer,
				 (size_t) length < sizeof(buffer) ? (size_t) length : sizeof(buffer) - 1);
}

/* The next character of UTF-8 text, and where the one after it begins.  An overlong,
 * cut or otherwise wrong sequence counts as one wrong byte. */
static uint32_t
decode(const unsigned char **at)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *s = *at;
	int more = s[0] < 0x80	 ? 0
			   : s[0] < 0xC0 ? -1
			   : s[0] < 0xE0 ? 1
			   : s[0] < 0xF0 ? 2
			   : s[0] < 0xF8 ? 3
							 : -1;
	uint32_t c;

	(*at)++;
	if (more < 0)
		return REPLACEMENT;
	if (more == 0)
		return s[0];
	c = s[0] & (0x3F >> more);
	for (int i = 1; i <= more; i++)
	{
		if ((s[i] & 0xC0) != 0x80)
			return REPLACEMENT;
		c = c << 6 | (s[i] & 0x3F);
	}
	if (c < least[more] || c > 0x10FFFF)
		return REPLACEMENT;
	*at += more;
	return c;
}

/* Controls (HTML reads references to some of them as other characters), halves of
 * pairs, non-characters, and what turns the direction of the text around it. */
static bool
is_unfit(uint32_t c)
{
	return (c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7F && c < 0xA0) ||
		   (c >= 0xD800 && c < 0xE000) || (c & 0xFFFE) == 0xFFFE ||
		   (c >= 0xFDD0 && c < 0xFDF0) || (c >= 0x202A && c <= 0x202E) ||
		   (c >= 0x2066 && c <= 0x2069);
}

static void
put_character(SlMarkup *m, uint32_t c)
{
	char plain = (char) c;

	switch (c)
	{
		case '&':
			sl_put(m, "&amp;");
			break;
		case '<':
			sl_put(m, "&lt;");
			break;
		case '>':
			sl_put(m, "&gt;");
			break;
		case '"':
			sl_put(m, "&quot;");
			break;
		case '\'':
			sl_put(m, "&#39;");
			break;
		default:
			if (is_unfit(c))
				c = REPLACEMENT;
			if (c < 0x80)
				m->write(m->context, &plain, 1);
			else
				sl_putf(m, "&#%u;", (unsigned) c);
	}
}

void
sl_put_text(SlMarkup *m, const char *text)
{
	const unsigned char *at = (const unsigned char *) text;

	while (*at)
		put_character(m, decode(&at));
}

void
sl_put_short(SlMarkup *m, const char *text, int characters)
{
	const unsigned char *at = (const unsigned char *) text;
	int count = 0;

	while (*at)
	{
		decode(&at);
		count++;
	}
	at = (const unsigned char *) text;
	for (int i = 0; i < (count > characters ? characters - 1 : count); i++)
		put_character(m, decode(&at));
	if (count > characters)
		sl_put(m, "&#8230;");
}

/* Values that have no place among whole numbers and decimals. */
static bool
special_label(double value, char *label, size_t size)
{
	const char *sign = value < 0 ? "\u2212" : "";

	if (isnan(value))
		snprintf(label, size, "\u2013");
	else if (isinf(value))
		snprintf(label, size, "%s\u221e", sign);
	else if (fabs(value) >= 1e9)
		snprintf(label, size, "%s%.3g", sign, fabs(value));
	else
		return false;
	return true;
}

static void
fixed_label(double value, int decimals, char *label, size_t size)
{
	char digits[64];
	char grouped[64];

	if (special_label(value, label, size))
		return;
	snprintf(digits, sizeof(digits), "%.*f", decimals, fabs(value));
	sl_group_digits(digits, grouped, sizeof(grouped));
	/* what is rounded to nothing has no sign */
	snprintf(label, size, "%s%s",
			 value < 0 && strspn(digits, "0.") < strlen(digits) ? "\u2212" : "", grouped);
}

int
sl_decimals(double largest)
{
	largest = fabs(largest);
	if (!(largest > 0) || largest >= 1000)
		return 0;
	return largest < 1e-4 ? 7 : 3 - (int) floor(log10(largest));
}

void
sl_number_label(double value, char *label, size_t size)
{
	double length = fabs(value);

	if (length > 0 && length < 1e-4)
		snprintf(label, size, "%s%.3g", value < 0 ? "\u2212" : "", length);
	else
		fixed_label(value,
					length >= 1 && length == rint(length) ? 0 : sl_decimals(length),
					label, size);
}

void
sl_put_fixed(SlMarkup *m, double value, int decimals)
{
	char label[80];

	fixed_label(value, decimals, label, sizeof(label));
	sl_put_text(m, label);
}

void
sl_put_number(SlMarkup *m, double value)
{
	char label[80];

	sl_number_label(value, label, sizeof(label));
	sl_put_text(m, label);
}

void
sl_put_count(SlMarkup *m, long long value)
{
	char digits[32];
	char grouped[64];

	snprintf(digits, sizeof(digits), "%lld", value);
	sl_group_digits(digits, grouped, sizeof(grouped));
	sl_put_text(m, grouped);
}
