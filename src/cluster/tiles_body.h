/*
 * tiles_body.h: the loops themselves; tiles.c includes this once for each instruction
 * set, with K() making names, TARGET the set and WIDTH the doubles of its vectors.
 */

typedef double K(Vec) __attribute__((vector_size(WIDTH * 8)));
typedef int64_t K(Mask) __attribute__((vector_size(WIDTH * 8)));

#define Vec K(Vec)
#define Mask K(Mask)
#define VECTORS (SL_LANES / WIDTH) /* of a tile's column */

/* mask ? a : b, lane by lane. */
#define SELECT(mask, a, b) ((Vec) (((Mask) (a) & (mask)) | ((Mask) (b) & ~(mask))))

/* Squared distances of one vector of lanes, x a tile's column 0 of them, to one point. */
TARGET INLINE void
K(one)(const Vec *x, int columns, const double *to, Vec *out)
{
	Vec sum = {0};

	for (int j = 0; j < columns; j++)
	{
		Vec off = x[j * VECTORS] - to[j];

		sum += off * off;
	}
	*out = sum;
}

/* The same to four points that lie one after the other. */
TARGET INLINE void
K(four)(const Vec *x, int columns, const double *to, Vec *out)
{
	const double *to1 = to + columns, *to2 = to1 + columns, *to3 = to2 + columns;
	Vec sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0};

	for (int j = 0; j < columns; j++)
	{
		Vec a = x[j * VECTORS], off;

		off = a - to[j];
		sum0 += off * off;
		off = a - to1[j];
		sum1 += off * off;
		off = a - to2[j];
		sum2 += off * off;
		off = a - to3[j];
		sum3 += off * off;
	}
	out[0] = sum0;
	out[1] = sum1;
	out[2] = sum2;
	out[3] = sum3;
}

TARGET static void
K(distances)(const double *tile, int columns, const double *point, double *out)
{
	for (int v = 0; v < VECTORS; v++)
	{
		Vec to;

		K(one)((const Vec *) tile + v, columns, point, &to);
		for (int l = 0; l < WIDTH; l++)
			out[v * WIDTH + l] = to[l];
	}
}

TARGET static void
K(nearest)(const double *tiles, int tile_count, int columns, const double *centroid,
		   int k, int32_t *label, double *squared)
{
	for (int t = 0; t < tile_count; t++)
		for (int v = 0; v < VECTORS; v++)
		{
			const Vec *x = (const Vec *) (tiles + (size_t) t * columns * SL_LANES) + v;
			Vec best = (Vec){0} + INFINITY;
			Vec number = {0};
			int c = 0;

			for (; c + 4 <= k; c += 4)
			{
				Vec to[4];

				K(four)(x, columns, centroid + (size_t) c * columns, to);
				for (int q = 0; q < 4; q++)
				{
					Mask nearer = to[q] < best;

					best = SELECT(nearer, to[q], best);
					number = SELECT(nearer, (Vec){0} + (double) (c + q), number);
				}
			}
			for (; c < k; c++)
			{
				Vec to;

				K(one)(x, columns, centroid + (size_t) c * columns, &to);

				Mask nearer = to < best;

				best = SELECT(nearer, to, best);
				number = SELECT(nearer, (Vec){0} + (double) c, number);
			}
			for (int l = 0; l < WIDTH; l++)
				label[(size_t) t * SL_LANES + v * WIDTH + l] = (int32_t) number[l];
			for (int l = 0; squared && l < WIDTH; l++)
				squared[(size_t) t * SL_LANES + v * WIDTH + l] = best[l];
		}
}

TARGET static void
K(nearest_two)(const double *tile, int columns, const double *centroid, int k,
			   int32_t *label, double *best_out, double *second_out)
{
	for (int v = 0; v < VECTORS; v++)
	{
		const Vec *x = (const Vec *) tile + v;
		Vec best = (Vec){0} + INFINITY;
		Vec second = best;
		Vec number = {0};

		for (int c = 0; c < k;)
		{
			int step = k - c >= 4 ? 4 : 1;
			Vec to[4];

			if (step == 4)
				K(four)(x, columns, centroid + (size_t) c * columns, to);
			else
				K(one)(x, columns, centroid + (size_t) c * columns, to);
			for (int q = 0; q < step; q++, c++)
			{
				Mask nearer = to[q] < best;
				Vec other = SELECT(nearer, best, to[q]);

				second = SELECT(other < second, other, second);
				best = SELECT(nearer, to[q], best);
				number = SELECT(nearer, (Vec){0} + (double) c, number);
			}
		}
		for (int l = 0; l < WIDTH; l++)
		{
			label[v * WIDTH + l] = (int32_t) number[l];
			best_out[v * WIDTH + l] = best[l];
			second_out[v * WIDTH + l] = second[l];
		}
	}
}

TARGET static void
K(sum)(const double *tiles, int tile_count, int columns, const double *from, double *sum,
	   double *squares)
{
	for (int j = 0; j < columns; j++)
	{
		Vec total[VECTORS] = {0}, square[VECTORS] = {0};

		for (int t = 0; t < tile_count; t++)
			for (int v = 0; v < VECTORS; v++)
			{
				Vec off =
					((const Vec *) (tiles + ((size_t) t * columns + j) * SL_LANES))[v] -
					from[j];

				total[v] += off;
				square[v] += off * off;
			}
		for (int v = 0; v < VECTORS; v++)
			for (int l = 0; l < WIDTH; l++)
			{
				sum[j] += total[v][l];
				squares[j] += square[v][l];
			}
	}
}

TARGET static void
K(lower)(double *near, const double *tiles, int tile_count, int columns,
		 const double *point)
{
	for (int t = 0; t < tile_count; t++)
		for (int v = 0; v < VECTORS; v++)
		{
			Vec *n = (Vec *) (near + (size_t) t * SL_LANES) + v;
			Vec to;

			K(one)
			((const Vec *) (tiles + (size_t) t * columns * SL_LANES) + v, columns, point,
			 &to);
			*n = SELECT(to < *n, to, *n);
		}
}

TARGET static void
K(try)(const double *near, const double *tiles, int tile_count, int columns,
	   const double *candidate, int candidates, double *sum)
{
	Vec total[SL_MAX_CANDIDATES] = {0};

	for (int t = 0; t < tile_count; t++)
		for (int v = 0; v < VECTORS; v++)
		{
			const Vec *x = (const Vec *) (tiles + (size_t) t * columns * SL_LANES) + v;
			Vec n = ((const Vec *) (near + (size_t) t * SL_LANES))[v];
			Vec to[4];
			int c = 0;

			for (; c + 4 <= candidates; c += 4)
			{
				K(four)(x, columns, candidate + (size_t) c * columns, to);
				for (int q = 0; q < 4; q++)
					total[c + q] += SELECT(to[q] < n, to[q], n);
			}
			for (; c < candidates; c++)
			{
				K(one)(x, columns, candidate + (size_t) c * columns, to);
				total[c] += SELECT(to[0] < n, to[0], n);
			}
		}
	for (int c = 0; c < candidates; c++)
	{
		sum[c] = 0;
		for (int l = 0; l < WIDTH; l++)
			sum[c] += total[c][l];
	}
}

TARGET static void
K(add_distances)(const double *rows, int row_count, const double *tile, int lanes,
				 int columns, double *row, double *column)
{
	_Alignas(64) double to[SL_FOUR * SL_LANES];

	for (int i = 0; i < row_count; i += SL_FOUR)
	{
		int step = row_count - i < SL_FOUR ? row_count - i : SL_FOUR;

		for (int v = 0; v < VECTORS; v++)
		{
			Vec out[4];

			K(four)((const Vec *) tile + v, columns, rows + (size_t) i * columns, out);
			for (int q = 0; q < SL_FOUR; q++)
				((Vec *) (to + q * SL_LANES))[v] = out[q];
		}
		for (int l = 0; l < SL_FOUR * SL_LANES; l++)
			to[l] = sqrt(to[l]);
		if (lanes == SL_LANES && step == SL_FOUR)
		{
			for (int l = 0; l < SL_FOUR * SL_LANES; l++)
				row[(size_t) i * SL_LANES + l] += to[l];
			for (int l = 0; l < SL_LANES; l++)
				column[l] += (to[l] + to[SL_LANES + l]) +
							 (to[2 * SL_LANES + l] + to[3 * SL_LANES + l]);
			continue;
		}
		for (int q = 0; q < step; q++)
			for (int l = 0; l < lanes; l++)
			{
				row[(size_t) (i + q) * SL_LANES + l] += to[q * SL_LANES + l];
				column[l] += to[q * SL_LANES + l];
			}
	}
}

static const Kernels K(table) = {K(distances), K(nearest), K(nearest_two),	K(sum),
								 K(lower),	   K(try),	   K(add_distances)};

#undef Vec
#undef Mask
#undef VECTORS
#undef SELECT
