/*
 * packed_body.h: the loops of packed.c, which includes this once for each instruction
 * set, with K() making names, TARGET the set and WIDTH the floats of its vectors.
 */

typedef float K(Vec) __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

#define Vec K(Vec)
#define PANEL (2 * WIDTH) /* columns of a panel */

/* Depth of one pass: so that a panel's part stays in the first-level cache. */
#define DEPTH (16 * 1024 / (int) sizeof(float) / PANEL * 5 / 4)

/*
 * rows x panels panels of C from count pieces of depth: the sums stay in registers.
 * rows and panels are constants where this is inlined.
 */
TARGET INLINE void
K(block)(int rows, int panels, const Piece *piece, int count, bool add, float *c,
		 size_t ldc)
{
	Vec sum[ROWS][2 * PANELS];

	UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < 2 * panels; v++)
		sum[r][v] = add ? *(const Vec *) (c + r * ldc + v * WIDTH) : (Vec){0};
	for (int p = 0; p < count; p++)
	{
		const float *a = piece[p].a;
		const float *b = piece[p].b;
		size_t stride = piece[p].a_stride;
		size_t apart = piece[p].b_stride;

		for (int l = 0; l < piece[p].k; l++, a++, b += PANEL)
		{
			Vec x[2 * PANELS];

			UNROLL for (int v = 0; v < 2 * panels; v++) x[v] =
				*(const Vec *) (b + v / 2 * apart + v % 2 * WIDTH);
			UNROLL for (int r = 0; r < rows; r++)
			{
				float s = a[r * stride];

				UNROLL for (int v = 0; v < 2 * panels; v++) sum[r][v] += s * x[v];
			}
		}
	}
	UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < 2 * panels; v++) *
		(Vec *) (c + r * ldc + v * WIDTH) = sum[r][v];
}

/* One panel, up to ROWS rows. */
TARGET INLINE void
K(rows)(int rows, const Piece *piece, int count, bool add, float *c, size_t ldc)
{
	switch (rows)
	{
		case 6:
			K(block)(6, 1, piece, count, add, c, ldc);
			break;
		case 5:
			K(block)(5, 1, piece, count, add, c, ldc);
			break;
		case 4:
			K(block)(4, 1, piece, count, add, c, ldc);
			break;
		case 3:
			K(block)(3, 1, piece, count, add, c, ldc);
			break;
		case 2:
			K(block)(2, 1, piece, count, add, c, ldc);
			break;
		case 1:
			K(block)(1, 1, piece, count, add, c, ldc);
			break;
	}
}

/* The last, partial panel works on a copy of its part of C. */
TARGET INLINE void
K(edge)(int rows, int columns, const Piece *piece, int count, bool add, float *c,
		size_t ldc)
{
	float copy[ROWS * PANEL];

	for (int r = 0; add && r < rows; r++)
		for (int j = 0; j < PANEL; j++)
			copy[r * PANEL + j] = j < columns ? c[r * ldc + j] : 0;
	K(rows)(rows, piece, count, add, copy, PANEL);
	for (int r = 0; r < rows; r++)
		for (int j = 0; j < columns; j++)
			c[r * ldc + j] = copy[r * PANEL + j];
}

/* All rows of one panel, in groups as equal as can be: a group of one or two rows has too
 * few chains to keep the multipliers busy. */
TARGET INLINE void
K(panel)(int m, int columns, const Piece *first, int count, bool add, float *c,
		 size_t ldc)
{
	Piece piece[SL_MAX_TERMS];
	int groups = (m + ROWS - 1) / ROWS;
	int least = m / groups;
	int larger = m % groups;

	memcpy(piece, first, sizeof(piece));
	for (int g = 0; g < groups; g++)
	{
		int rows = least + (g < larger);

		if (columns == PANEL)
			K(rows)(rows, piece, count, add, c, ldc);
		else
			K(edge)(rows, columns, piece, count, add, c, ldc);
		for (int p = 0; p < count; p++)
			piece[p].a += rows * piece[p].a_stride;
		c += rows * ldc;
	}
}

/* One or two rows: several panels side by side for more chains.  Returns how many columns
 * are done. */
TARGET INLINE int
K(few_rows)(int m, int n, Piece *piece, int count, bool add, float *c, size_t ldc)
{
	int panels = PANELS / m;
	int done = 0;

	for (; done + panels * PANEL <= n; done += panels * PANEL)
	{
		if (m == 1)
			K(block)(1, PANELS, piece, count, add, c + done, ldc);
		else
			K(block)(2, PANELS / 2, piece, count, add, c + done, ldc);
		for (int p = 0; p < count; p++)
			piece[p].b += panels * piece[p].b_stride;
	}
	return done;
}

/* One pass over C; add is a constant here. */
TARGET INLINE void
K(pass)(int m, int n, Piece *piece, int count, bool add, float *c, size_t ldc)
{
	int j = m <= 2 ? K(few_rows)(m, n, piece, count, add, c, ldc) : 0;

	for (; j < n; j += PANEL)
	{
		K(panel)(m, n - j < PANEL ? n - j : PANEL, piece, count, add, c + j, ldc);
		for (int p = 0; p < count; p++)
			piece[p].b += piece[p].b_stride;
	}
}

TARGET static void
K(add)(int m, int n, Piece *piece, int count, float *c, size_t ldc)
{
	K(pass)(m, n, piece, count, true, c, ldc);
}

TARGET static void
K(set)(int m, int n, Piece *piece, int count, float *c, size_t ldc)
{
	K(pass)(m, n, piece, count, false, c, ldc);
}

/* The terms cut into passes of about equal depth. */
TARGET static void
K(product)(int m, const SlTerm *term, int terms, bool add, float *c, size_t ldc)
{
	int left = 0;
	int t = 0, from = 0;

	for (int i = 0; i < terms; i++)
		left += term[i].b->k;
	for (int passes = (left + DEPTH - 1) / DEPTH; passes > 0; passes--)
	{
		Piece piece[SL_MAX_TERMS] = {{0}};
		int count = 0;

		for (int room = (left + passes - 1) / passes; room > 0 && t < terms;)
		{
			const SlPacked *b = term[t].b;
			int k = b->k - from < room ? b->k - from : room;

			piece[count++] =
				(Piece){term[t].a + from, term[t].stride, b->data + (size_t) from * PANEL,
						(size_t) b->k * PANEL, k};
			room -= k;
			left -= k;
			from += k;
			if (from == b->k)
			{
				t++;
				from = 0;
			}
		}
		if (add)
			K(add)(m, term[0].b->n, piece, count, c, ldc);
		else
			K(set)(m, term[0].b->n, piece, count, c, ldc);
		add = true;
	}
}

/* Panel after panel, each [k x PANEL], columns beyond n zero. */
static void
K(pack)(bool trans, int k, int n, const float *b, size_t ldb, float *data)
{
	for (int j = 0; j < n; j += PANEL, data += (size_t) k * PANEL)
	{
		int columns = n - j < PANEL ? n - j : PANEL;

		if (columns < PANEL)
			memset(data, 0, (size_t) k * PANEL * sizeof(float));
		if (!trans)
			for (int l = 0; l < k; l++)
				memcpy(data + (size_t) l * PANEL, b + l * ldb + j,
					   (size_t) columns * sizeof(float));
		for (int i = 0; trans && i < columns; i++)
			for (int l = 0; l < k; l++)
				data[(size_t) l * PANEL + i] = b[(j + i) * ldb + l];
	}
}

static const SlPackedKernels K(kernels) = {K(pack), K(product)};

#undef Vec
#undef PANEL
#undef DEPTH
