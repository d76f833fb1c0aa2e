/*
 * tiles.c: tiles_body.h compiled for each instruction set, and the choice of one.
 *
 * Vector types of the compiler are cut into what the machine has before functions are
 * cloned, so a copy of the source for each set it is, with the set named from the start.
 */
#include "cluster/tiles.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct Kernels
{
	void (*distances)(const double *, int, const double *, double *);
	void (*nearest)(const double *, int, int, const double *, int, int32_t *, double *);
	void (*nearest_two)(const double *, int, const double *, int, int32_t *, double *,
						double *);
	void (*sum)(const double *, int, int, const double *, double *, double *);
	void (*lower)(double *, const double *, int, int, const double *);
	void (*try)(const double *, const double *, int, int, const double *, int, double *);
	void (*add_distances)(const double *, int, const double *, int, int, double *,
						  double *);
} Kernels;

#define K(name) name##_default
#define TARGET
#define WIDTH 2
#include "cluster/tiles_body.h"
#undef K
#undef TARGET
#undef WIDTH

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1

#define K(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 4
#include "cluster/tiles_body.h"
#undef K
#undef TARGET
#undef WIDTH

#define K(name) name##_avx512
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl")))
#define WIDTH 8
#include "cluster/tiles_body.h"
#undef K
#undef TARGET
#undef WIDTH
#endif

static const Kernels *
kernels(void)
{
	static const Kernels *chosen;

	if (chosen == NULL)
	{
		chosen = &table_default;
#ifdef HAVE_X86
		if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
			chosen = __builtin_cpu_supports("avx512f") &&
							 __builtin_cpu_supports("avx512dq") &&
							 __builtin_cpu_supports("avx512vl")
						 ? &table_avx512
						 : &table_avx2;
#endif
	}
	return chosen;
}

void
sl_tile_distances(const double *tile, int columns, const double *point, double *out)
{
	kernels()->distances(tile, columns, point, out);
}

void
sl_tiles_nearest(const double *tiles, int tile_count, int columns, const double *centroid,
				 int k, int32_t *label, double *squared)
{
	kernels()->nearest(tiles, tile_count, columns, centroid, k, label, squared);
}

void
sl_tile_nearest_two(const double *tile, int columns, const double *centroid, int k,
					int32_t *label, double *best, double *second)
{
	kernels()->nearest_two(tile, columns, centroid, k, label, best, second);
}

void
sl_tiles_sum(const double *tiles, int tile_count, int columns, const double *from,
			 double *sum, double *squares)
{
	kernels()->sum(tiles, tile_count, columns, from, sum, squares);
}

void
sl_tiles_lower(double *near, const double *tiles, int tile_count, int columns,
			   const double *point)
{
	kernels()->lower(near, tiles, tile_count, columns, point);
}

void
sl_tiles_try(const double *near, const double *tiles, int tile_count, int columns,
			 const double *candidate, int candidates, double *sum)
{
	kernels()->try(near, tiles, tile_count, columns, candidate, candidates, sum);
}

void
sl_tile_add_distances(const double *rows, int row_count, const double *tile, int lanes,
					  int columns, double *row, double *column)
{
	kernels()->add_distances(rows, row_count, tile, lanes, columns, row, column);
}
