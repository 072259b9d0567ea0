// Heights: where each of many items stands in a list, without having drawn them.

export interface Heights {
  readonly count: number;
  /** How high all are together. */
  total(): number;
  /** Where an item begins. */
  top(index: number): number;
  height(index: number): number;
  /** Which item stands at this place. */
  at(place: number): number;
  /** An item was drawn; returns whether it is of another height than was thought. */
  set(index: number, height: number): boolean;
  resize(count: number): void;
}

/** All of one height. */
export class FixedHeights implements Heights {
  constructor(
    public count: number,
    private readonly each: number,
  ) {}
  total = () => this.count * this.each;
  top = (index: number) => index * this.each;
  height = () => this.each;
  at = (place: number) => Math.max(0, Math.min(this.count - 1, Math.floor(place / this.each)));
  set = () => false;
  resize(count: number): void {
    this.count = count;
  }
}

/** Each of the height that was measured, and until then of the one that is usual. A Fenwick tree holds the sums. */
export class MeasuredHeights implements Heights {
  count = 0;
  private heights = new Float64Array(0);
  private sums = new Float64Array(1);

  constructor(
    count: number,
    private readonly usual: number,
  ) {
    this.resize(count);
  }

  total = () => this.top(this.count);

  height = (index: number) => this.heights[index] ?? this.usual;

  top(index: number): number {
    let sum = 0;
    for (let n = Math.min(index, this.count); n > 0; n -= n & -n) sum += this.sums[n] ?? 0;
    return sum;
  }

  at(place: number): number {
    let index = 0;
    let rest = place;
    for (let step = 1 << Math.floor(Math.log2(Math.max(1, this.count))); step > 0; step >>= 1) {
      const sum = this.sums[index + step];
      if (index + step <= this.count && sum !== undefined && sum <= rest) {
        index += step;
        rest -= sum;
      }
    }
    return Math.max(0, Math.min(this.count - 1, index));
  }

  set(index: number, height: number): boolean {
    const change = height - this.height(index);
    if (index >= this.count || Math.abs(change) < 0.5) return false;
    this.heights[index] = height;
    for (let n = index + 1; n < this.sums.length; n += n & -n) this.sums[n] = (this.sums[n] ?? 0) + change;
    return true;
  }

  resize(count: number): void {
    if (count === this.count) return;
    if (count > this.count && count + 1 <= this.sums.length && this.count > 0) {
      // Room is left from the last time: items at the end cost little, as a live session adds them.
      for (let index = this.count; index < count; index += 1) this.heights[index] = this.usual;
      this.count = count;
      return;
    }
    const room = Math.ceil(count * 1.25) + 64;
    const heights = new Float64Array(room).fill(this.usual);
    heights.set(this.heights.subarray(0, Math.min(this.count, count)));
    this.heights = heights;
    this.sums = new Float64Array(room + 1);
    for (let n = 1; n <= room; n += 1) {
      this.sums[n] = (this.sums[n] ?? 0) + (heights[n - 1] ?? 0);
      const parent = n + (n & -n);
      if (parent <= room) this.sums[parent] = (this.sums[parent] ?? 0) + (this.sums[n] ?? 0);
    }
    this.count = count;
  }
}
