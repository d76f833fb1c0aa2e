/*
 * step.h: one step of Lloyd's algorithm as sums that can be merged, and their serial
 * form.
 */
#ifndef SL_STEP_H
#define SL_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SlStep
{
	int k;
	int columns;
	double inertia;
	double *centroid; /* [k x columns] */
	double *sum;	  /* [k x columns] of the points nearest to each */
	int64_t *count;	  /* [k] */
} SlStep;

/* Bytes of the arrays of a step, or 0 if that is more than size_t holds. */
extern size_t sl_step_bytes(int k, int columns);

/* Points the arrays into memory of so many bytes, aligned to 8; clears the sums. */
extern void sl_step_init(SlStep *step, int k, int columns, void *memory);

extern void sl_step_add(SlStep *step, const double *point);

/* Whether both are of the same centroids, bit for bit. */
extern bool sl_step_same(const SlStep *a, const SlStep *b);
extern void sl_step_merge(SlStep *to, const SlStep *from);

/* Bytes of the serial form; 0 as above. */
extern size_t sl_step_wire_size(int k, int columns);
extern void sl_step_write(const SlStep *step, uint8_t *bytes);

/* What bytes are not, or NULL: then k and columns are what a step to read into needs. */
extern const char *sl_step_check(const uint8_t *bytes, size_t size, int *k, int *columns);
/* Reads checked bytes; NULL, or what is wrong with their content. */
extern const char *sl_step_read(SlStep *step, const uint8_t *bytes);

#endif
