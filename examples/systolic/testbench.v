// The array computes a layer from im2col's files, tile by tile, and its result is held against the expected one.
//
//   im2col matrix image.npy ... --weights filters.npy --format hex --tile 16x4x4 -o vectors
//
// The files' headers have the counts of tiles: columns DOWN x TAPS, weights TAPS x FILTERS, results DOWN x FILTERS.

module testbench;
    parameter DOWN = 4, TAPS = 7, FILTERS = 2;   // tiles
    parameter POSITIONS = 16;                    // of a tile
    localparam ROWS = 4, COLUMNS = 4, BITS = 8, SUM_BITS = 32;
    localparam LATENCY = ROWS + COLUMNS - 1;

    reg [BITS*ROWS-1:0] columns [0:DOWN*TAPS*POSITIONS-1];
    reg [BITS*COLUMNS-1:0] weights [0:TAPS*FILTERS*ROWS-1];
    reg [SUM_BITS*COLUMNS-1:0] expected [0:DOWN*FILTERS*POSITIONS-1];
    reg [SUM_BITS*COLUMNS-1:0] result [0:DOWN*FILTERS*POSITIONS-1];

    reg clock = 0, load = 0;
    reg [BITS*COLUMNS-1:0] weight_word = 0;
    reg [BITS*ROWS-1:0] pixel_word = 0;
    wire [SUM_BITS*COLUMNS-1:0] sum_word;

    systolic #(ROWS, COLUMNS, BITS, SUM_BITS) array (clock, load, weight_word, pixel_word, sum_word);

    always #5 clock = ~clock;

    // The word of a position in a matrix whose rows of tiles have `across` tiles, of which it is tile number `tile`.
    function integer word(input integer position, input integer across, input integer tile);
        word = ((position / POSITIONS) * across + tile) * POSITIONS + position % POSITIONS;
    endfunction

    integer tap, filter, r, n, c, at, wrong, file;

    initial begin
        $readmemh("vectors/columns.hex", columns);
        $readmemh("vectors/weights.hex", weights);
        $readmemh("vectors/expected.hex", expected);
        for (n = 0; n < DOWN * FILTERS * POSITIONS; n = n + 1) result[n] = 0;

        for (filter = 0; filter < FILTERS; filter = filter + 1)
            for (tap = 0; tap < TAPS; tap = tap + 1) begin
                // A tile of weights goes in from the top, its last row first, and stays.
                load = 1;
                for (r = ROWS - 1; r >= 0; r = r - 1) begin
                    weight_word = weights[(tap * FILTERS + filter) * ROWS + r];
                    @(negedge clock);
                end
                load = 0;
                // All positions stream through it; what comes out is added to the tile's sums.
                for (n = 0; n < DOWN * POSITIONS + LATENCY; n = n + 1) begin
                    if (n >= LATENCY) begin
                        at = word(n - LATENCY, FILTERS, filter);
                        for (c = 0; c < COLUMNS; c = c + 1)
                            result[at][SUM_BITS*c +: SUM_BITS] =
                                result[at][SUM_BITS*c +: SUM_BITS] + sum_word[SUM_BITS*c +: SUM_BITS];
                    end
                    pixel_word = n < DOWN * POSITIONS ? columns[word(n, TAPS, tap)] : 0;
                    @(negedge clock);
                end
            end

        wrong = 0;
        file = $fopen("result.hex");
        for (n = 0; n < DOWN * FILTERS * POSITIONS; n = n + 1) begin
            $fdisplay(file, "%h", result[n]);
            if (result[n] !== expected[n]) begin
                if (wrong == 0) $display("word %0d is %h but %h is expected", n, result[n], expected[n]);
                wrong = wrong + 1;
            end
        end
        $fclose(file);
        $display("%0d words, %0d wrong, %0d clocks", DOWN * FILTERS * POSITIONS, wrong, $time / 10);
        $finish;
    end
endmodule
