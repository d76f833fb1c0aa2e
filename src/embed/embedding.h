/*
 * embedding.h: stored embeddings for other rooms.  SPI must be connected; everything
 * runs with the caller's rights, and an embedding the caller may not see does not exist.
 */
#ifndef SL_EMBEDDING_H
#define SL_EMBEDDING_H

/* What is known of a stored embedding. */
typedef struct SlEmbedding
{
	char *name;
	int dims;
	int items;
} SlEmbedding;

/* Looks it up; an error if it does not exist. */
extern SlEmbedding *sl_embedding_find(const char *name);

/*
 * Its vectors of count items, each given as a text as sl_value_label() writes it: item i
 * goes to rows[i * stride .. + dims - 1], stride at least dims, and known[i] says whether
 * there is such an item.  Rows of unknown items are left as they are.  Returns how many
 * are known.
 */
extern int sl_embedding_load(const SlEmbedding *embedding, int count,
							 const char *const *items, float *rows, Size stride,
							 bool *known);

/*
 * Calls visit for every item, in any order; rank 0 is the most frequent one.  The text
 * (not terminated) and the vector are good for the call only, and it is for visit to see
 * that its numbers are finite.
 */
typedef void (*SlEmbeddingVisit)(void *arg, int rank, const char *item, int length,
								 const float *vector);
extern void sl_embedding_scan(const SlEmbedding *embedding, SlEmbeddingVisit visit,
							  void *arg);

/* Its vector of one item, palloc'd, or NULL if it has no such item. */
extern float *sl_embedding_vector(const SlEmbedding *embedding, const char *item);

#endif
