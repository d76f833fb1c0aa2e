/*
 * test_hostile.c: right bytes damaged in many ways, given to all that reads bytes or
 * numbers of others.  The same damage each time; test/fuzz looks for more.
 */
#include "../fuzz/hostile.h"

#include "tap.h"

#define ROOM 4096

typedef struct Sample
{
	uint8_t bytes[ROOM];
	size_t size;
} Sample;

/* splitmix64 */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static size_t
below(uint64_t *state, size_t n)
{
	return n == 0 ? 0 : (size_t) (next_random(state) % n);
}

/* ---- right bytes ---- */

static void
append(Sample *s, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		s->bytes[s->size++] = (uint8_t) (value >> (8 * i));
}

static void
append_double(Sample *s, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, 8);
	append(s, bits, 8);
}

static void
sample_sessions(Sample *s, uint64_t *random)
{
	SlRun run[20];
	size_t count = below(random, 20);
	int64_t gap = (int64_t) below(random, 3600) * SL_USECS;
	int64_t at = 0;

	for (size_t i = 0; i < count; i++)
	{
		int64_t more = (int64_t) below(random, 5);

		at += gap + 1 + (int64_t) below(random, 3600) * SL_USECS;
		run[i] = (SlRun){at, at + gap * more, (int64_t) below(random, 300) * SL_USECS,
						 1 + more};
		at = run[i].last;
	}
	s->size = sl_wire_size(count);
	sl_wire_write(s->bytes, gap, run, count);
}

static void
sample_values(Sample *s, uint64_t *random)
{
	SlValueKind kind = SL_VALUES_ERROR + (int) below(random, 3);
	size_t n = below(random, 30);
	uint64_t words[60];

	for (size_t i = 0; i < n; i++)
	{
		double value = (double) below(random, 1001) / 1000;

		if (kind == SL_VALUES_POSITION)
		{
			words[2 * i] = i;
			words[2 * i + 1] = below(random, 2);
			continue;
		}
		if (kind == SL_VALUES_SCORE)
			value = sl_score(below(random, 2), value);
		memcpy(&words[i], &value, 8);
	}
	s->size = sl_values_serial_size(kind, n);
	sl_values_encode(kind, n, words, s->bytes);
}

static void
sample_step(Sample *s, uint64_t *random)
{
	int k = 1 + (int) below(random, 6), columns = 1 + (int) below(random, 5);
	double memory[6 * 5 * 2 + 6], point[5];
	SlStep step;

	sl_step_init(&step, k, columns, memory);
	for (int i = 0; i < k * columns; i++)
		step.centroid[i] = (double) below(random, 100) - 50;
	for (int i = 0; i < 10; i++)
	{
		for (int j = 0; j < columns; j++)
			point[j] = (double) below(random, 100) - 50;
		sl_step_add(&step, point);
	}
	s->size = sl_step_wire_size(k, columns);
	sl_step_write(&step, s->bytes);
}

static void
sample_event(Sample *s, uint64_t *random)
{
	append(s, below(random, 1000) * SL_USECS, 8);
	append_double(s, (double) below(random, 1000) / 7);
}

static void
sample_network(Sample *s, uint64_t *random)
{
	int embeddings = (int) below(random, 4);

	append(s, below(random, 2), 1);
	append(s, 1 + below(random, 20), 4);
	append(s, 1 + below(random, SL_MAX_LAYERS), 4);
	append(s, 1 + below(random, 9), 4);
	append(s, embeddings, 4);
	append(s, 0, 4);
	for (int i = 0; i < SL_MAX_LAYERS; i++)
		append(s, 1 + below(random, 300), 4);
	for (int i = 0; i < SL_MAX_EMBEDDINGS; i++)
	{
		append(s, 1 + below(random, 1000), 4);
		append(s, 1 + below(random, 50), 4);
		append(s, 1 + below(random, 100), 1);
	}
}

static void
sample_text(Sample *s, uint64_t *random)
{
	static const char *const texts[] = {"Sigur R\xc3\xb3s", "<b>&amp;\"'",
										"\xe2\x80\xae\xf0\x9f\x8e\xb5", "session_length",
										"\xed\x95\x9c\xea\xb5\xad\xec\x96\xb4"};
	const char *text = texts[below(random, 5)];

	s->size = strlen(text);
	memcpy(s->bytes, text, s->size);
}

static void
sample_scale(Sample *s, uint64_t *random)
{
	append(s, next_random(random), 1);
	for (int i = 0; i < 5; i++)
		append_double(s, ((double) below(random, 20001) - 10000) / 3);
}

static void
sample_plot(Sample *s, uint64_t *random)
{
	append(s, next_random(random), 1);
	for (size_t rows = 1 + below(random, 20); rows > 0; rows--)
	{
		append(s, next_random(random), 1);
		for (int i = 0; i < 3; i++)
			append_double(s, exp((double) below(random, 100) / 10));
	}
}

/* ---- damage ---- */

/* Values at the edges of what integers and doubles hold. */
static uint64_t
edge(uint64_t *random)
{
	static const uint64_t edges[] = {0,
									 1,
									 2,
									 0x7F,
									 0x80,
									 0xFF,
									 0xFFFF,
									 0x7FFFFFFF,
									 0x80000000,
									 0xFFFFFFFF,
									 UINT64_C(0x7FFFFFFFFFFFFFFF),
									 UINT64_C(0x8000000000000000),
									 UINT64_MAX,
									 UINT64_C(0x7FF0000000000000),
									 UINT64_C(0xFFF0000000000000),
									 UINT64_C(0x7FF8000000000000),
									 UINT64_C(0x7FEFFFFFFFFFFFFF),
									 UINT64_C(0x3FF0000000000000),
									 UINT64_C(0x8000000000000001),
									 (uint64_t) SL_TS_MIN,
									 (uint64_t) SL_TS_END - 1,
									 (uint64_t) SL_TS_END};

	return edges[below(random, sizeof(edges) / sizeof(edges[0]))];
}

/* An edge, 1 to 8 bytes wide in either byte order, over what is there. */
static void
damage_number(Sample *s, uint64_t *random)
{
	size_t width = (size_t) 1 << below(random, 4);
	bool big = below(random, 2);
	uint64_t value = edge(random);
	size_t at;

	if (s->size < width)
		return;
	at = below(random, 2) ? below(random, s->size - width + 1)
						  : below(random, (s->size - width) / 4 + 1) * 4;
	for (size_t i = 0; i < width; i++)
		s->bytes[at + (big ? width - 1 - i : i)] = (uint8_t) (value >> (8 * i));
}

static void
damage(Sample *s, uint64_t *random)
{
	size_t at = below(random, s->size), length = 1 + below(random, 32);

	switch (below(random, 8))
	{
		case 0:
			if (s->size > 0)
				s->bytes[at] ^= (uint8_t) (1 << below(random, 8));
			break;
		case 1:
			if (s->size > 0)
				s->bytes[at] = (uint8_t) next_random(random);
			break;
		case 2: /* cut short */
			s->size = at;
			break;
		case 3: /* a piece lost */
			if (length > s->size - at)
				length = s->size - at;
			memmove(s->bytes + at, s->bytes + at + length, s->size - at - length);
			s->size -= length;
			break;
		case 4: /* a piece twice */
			if (length > s->size - at || length > ROOM - s->size)
				break;
			memmove(s->bytes + at + length, s->bytes + at, s->size - at);
			s->size += length;
			break;
		default:
			damage_number(s, random);
	}
}

static void
note_bytes(const Sample *s)
{
	printf("# ");
	for (size_t i = 0; i < s->size; i++)
		printf("%02x", s->bytes[i]);
	printf("\n");
}

static void
check_hostile(size_t which, void (*make)(Sample *, uint64_t *), int rounds)
{
	uint64_t random = 1000 + which;
	int accepted = 0, refused = 0, wrong = 0, right = 0;
	Sample s;

	for (int i = 0; i < rounds; i++)
	{
		memset(&s, 0, sizeof(s));
		make(&s, &random);
		if (i % 10 == 0)
			right += hostile_read(which, s.bytes, s.size) == ACCEPTED && !hostile_wrong;
		for (size_t n = 1 + below(&random, 4); n > 0; n--)
			damage(&s, &random);
		if (hostile_read(which, s.bytes, s.size) == ACCEPTED)
			accepted++;
		else
			refused++;
		if (hostile_wrong == NULL || wrong++ > 0)
			continue;
		note("not so: %s", hostile_wrong);
		note_bytes(&s);
	}
	is_int(right, (rounds + 9) / 10, "%s: what was not damaged is accepted",
		   hostile[which].name);
	is_int(wrong, 0, "%s: %d damaged ones are refused or make sense", hostile[which].name,
		   rounds);
	ok(accepted > rounds / 100, "and some of them are accepted");
	note("%d accepted, %d refused", accepted, refused);
}

int
main(void)
{
	check_hostile(0, sample_sessions, 60000);
	check_hostile(1, sample_values, 60000);
	check_hostile(2, sample_step, 60000);
	check_hostile(3, sample_event, 60000);
	check_hostile(4, sample_network, 20000);
	check_hostile(5, sample_text, 60000);
	check_hostile(6, sample_scale, 60000);
	check_hostile(7, sample_plot, 2000);
	return done_testing();
}
