/*
 * fixture.h: numbers made elsewhere (by the scripts in test/data) to compare with.
 *
 * A fixture is a text file of named arrays, "name count" followed by count numbers;
 * everything is separated by white space and # starts a comment line.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef FIXTURE_DIR
#define FIXTURE_DIR "../data"
#endif

typedef struct FixtureArray
{
	char name[128];
	size_t count;
	float *value;
	struct FixtureArray *next;
} FixtureArray;

typedef struct Fixture
{
	FixtureArray *first;
} Fixture;

/* A broken fixture is a broken test: say so and give up. */
static void
fixture_fail(const char *what, const char *name)
{
	printf("Bail out! fixture: %s \"%s\"\n", what, name);
	exit(2);
}

/* Next word outside comments. */
static int
fixture_word(FILE *file, char *word)
{
	while (fscanf(file, "%127s", word) == 1)
	{
		if (word[0] != '#')
			return 1;
		for (int c = getc(file); c != '\n' && c != EOF; c = getc(file))
			;
	}
	return 0;
}

__attribute__((unused)) static Fixture
fixture_read(const char *name)
{
	Fixture fixture = {NULL};
	char path[1024], word[128];

	snprintf(path, sizeof(path), "%s/%s", FIXTURE_DIR, name);
	FILE *file = fopen(path, "r");

	if (file == NULL)
		fixture_fail("cannot open", path);
	while (fixture_word(file, word))
	{
		FixtureArray *array = calloc(1, sizeof(*array));

		strcpy(array->name, word);
		if (!fixture_word(file, word))
			fixture_fail("no count for", array->name);
		array->count = strtoul(word, NULL, 10);
		array->value = malloc((array->count + 1) * sizeof(float));
		for (size_t i = 0; i < array->count; i++)
		{
			if (!fixture_word(file, word))
				fixture_fail("too few numbers for", array->name);
			array->value[i] = strtof(word, NULL);
		}
		array->next = fixture.first;
		fixture.first = array;
	}
	fclose(file);
	return fixture;
}

/* The array of that name; its length into *count (or NULL). */
__attribute__((unused)) static const float *
fixture_get(const Fixture *fixture, const char *name, size_t *count)
{
	for (const FixtureArray *array = fixture->first; array; array = array->next)
		if (strcmp(array->name, name) == 0)
		{
			if (count)
				*count = array->count;
			return array->value;
		}
	fixture_fail("no array", name);
	return NULL;
}

__attribute__((unused)) static void
fixture_free(Fixture *fixture)
{
	while (fixture->first)
	{
		FixtureArray *array = fixture->first;

		fixture->first = array->next;
		free(array->value);
		free(array);
	}
}

#endif
