/*
 * embed_sql.h: what the SQL functions of the embedding room share: options, sequences
 * read from a source, storing.
 */
#ifndef SL_EMBED_SQL_H
#define SL_EMBED_SQL_H

#include "utils/jsonb.h"

#include "embed/word2vec.h"
#include "train/vocabulary.h"

/* ---- options (embed_options_sql.c) ---- */

typedef struct SlEmbedOptions
{
	SlWord2vecOptions training;
	int min_count;
	double time_limit; /* seconds, 0: none */
	bool verbose;
} SlEmbedOptions;

/* Reads them over the defaults; given may be NULL. */
extern void sl_embed_options_read(SlEmbedOptions *options, Jsonb *given);
extern Jsonb *sl_embed_options_json(const SlEmbedOptions *options);

/* ---- sequences (embed_source_sql.c) ---- */

typedef struct SlCorpusItems
{
	SlCorpus corpus;
	const char **text; /* [corpus.items], the most frequent first */
	int64 rows;		   /* read, all items */
	Size bytes;		   /* taken */
} SlCorpusItems;

/* Reads all sequences with the caller's rights, keeps items that come often enough and
 * sequences of two or more.  SPI must be connected. */
extern SlCorpusItems *sl_items_read(const char *source, const char *item,
									const char *partition_by, const char *order_by,
									int min_count);

/* ---- storing (embed_store_sql.c) ---- */

typedef struct SlEmbeddingRow
{
	const char *name;
	const char *source;
	const char *item;
	const char *partition_by;
	const char *order_by;
	const SlEmbedOptions *options;
	const SlCorpusItems *items;
	int epochs;
	double loss;
	double seconds;
} SlEmbeddingRow;

/* Until the transaction ends nobody else makes an embedding of this name, which must be
 * new or the caller's. */
extern void sl_embedding_begin(const char *name);

/* Puts it in the place of an older one, whose owner and grants stay. */
extern void sl_embedding_store(const SlEmbeddingRow *row, const SlWord2vec *w);

/* What memory or data can't be right raises this error. */
extern _Noreturn void sl_embedding_damaged(const char *name);

#endif
