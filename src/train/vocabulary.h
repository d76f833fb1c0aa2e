/*
 * vocabulary.h: texts and their codes.  Code 0 is unknown, entry i (from 1) has code i.
 */
#ifndef SL_VOCABULARY_H
#define SL_VOCABULARY_H

typedef struct SlVocabulary SlVocabulary;

/* In a memory context of its own, a child of the current one. */
extern SlVocabulary *sl_vocabulary_create(void);
extern void sl_vocabulary_free(SlVocabulary *vocabulary);
/* Bytes it takes. */
extern Size sl_vocabulary_size(const SlVocabulary *vocabulary);

/* The code of text, 0 if it has none. */
extern int sl_vocabulary_code(const SlVocabulary *vocabulary, const char *text);
/* Likewise, but a new text is given the next code. */
extern int sl_vocabulary_add(SlVocabulary *vocabulary, const char *text);

/* Texts known; codes run from 1 to this. */
extern int sl_vocabulary_count(const SlVocabulary *vocabulary);
extern const char *sl_vocabulary_text(const SlVocabulary *vocabulary, int code);

#endif
