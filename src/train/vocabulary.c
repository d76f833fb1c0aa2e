#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "train/vocabulary.h"

typedef struct Entry
{
	const char *text;
	int code;
	uint32 hash;
	char status;
} Entry;

#define SH_PREFIX entries
#define SH_ELEMENT_TYPE Entry
#define SH_KEY_TYPE const char *
#define SH_KEY text
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct SlVocabulary
{
	MemoryContext context;
	entries_hash *table;
	const char **text; /* by code */
	int count;
	int room;
};

SlVocabulary *
sl_vocabulary_create(void)
{
	MemoryContext context = AllocSetContextCreate(
		CurrentMemoryContext, "sessionlen vocabulary", ALLOCSET_START_SMALL_SIZES);
	SlVocabulary *vocabulary = MemoryContextAllocZero(context, sizeof(SlVocabulary));

	vocabulary->context = context;
	vocabulary->table = entries_create(context, 64, NULL);
	vocabulary->room = 64;
	vocabulary->text =
		MemoryContextAlloc(context, sizeof(char *) * (vocabulary->room + 1));
	return vocabulary;
}

void
sl_vocabulary_free(SlVocabulary *vocabulary)
{
	MemoryContextDelete(vocabulary->context);
}

Size
sl_vocabulary_size(const SlVocabulary *vocabulary)
{
	return MemoryContextMemAllocated(vocabulary->context, false);
}

int
sl_vocabulary_code(const SlVocabulary *vocabulary, const char *text)
{
	Entry *entry = entries_lookup(vocabulary->table, text);

	return entry ? entry->code : 0;
}

int
sl_vocabulary_add(SlVocabulary *vocabulary, const char *text)
{
	bool found;
	Entry *entry = entries_insert(vocabulary->table, text, &found);

	if (found)
		return entry->code;
	if (vocabulary->count == vocabulary->room)
	{
		vocabulary->room *= 2;
		vocabulary->text = repalloc_huge(unconstify(char **, vocabulary->text),
										 sizeof(char *) * ((Size) vocabulary->room + 1));
	}
	entry->text = MemoryContextStrdup(vocabulary->context, text);
	entry->code = ++vocabulary->count;
	vocabulary->text[entry->code] = entry->text;
	return entry->code;
}

int
sl_vocabulary_count(const SlVocabulary *vocabulary)
{
	return vocabulary->count;
}

const char *
sl_vocabulary_text(const SlVocabulary *vocabulary, int code)
{
	return vocabulary->text[code];
}
