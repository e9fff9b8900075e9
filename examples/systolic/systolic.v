// A weight-stationary systolic array: ROWS x COLUMNS multipliers, each of which keeps one weight.
//
// Row r belongs to a tap, column c to a filter. A pixel enters at the left of its tap's row and goes right, one multiplier
// a clock; sums enter at the top as zeros and go down. A word of ROWS pixels, those of one position, that enters at clock t
// leaves as a word of COLUMNS sums at clock t + ROWS + COLUMNS - 1. Words are packed as in im2col's hex files: the first
// number lies lowest.

module multiplier #(parameter BITS = 8, parameter SUM_BITS = 32) (
    input clock,
    input load,                              // take the weight of the one above; the top row takes a new one
    input signed [BITS-1:0] weight_in,
    input signed [BITS-1:0] pixel_in,
    input signed [SUM_BITS-1:0] sum_in,
    output reg signed [BITS-1:0] weight,
    output reg signed [BITS-1:0] pixel_out,
    output reg signed [SUM_BITS-1:0] sum_out
);
    always @(posedge clock) begin
        if (load) weight <= weight_in;
        pixel_out <= pixel_in;
        sum_out <= sum_in + weight * pixel_in;
    end
endmodule

// CLOCKS registers in a row; none at all is a wire.
module delay #(parameter BITS = 8, parameter CLOCKS = 0) (
    input clock,
    input [BITS-1:0] in,
    output [BITS-1:0] out
);
    generate
        if (CLOCKS == 0) begin : wired
            assign out = in;
        end else begin : registered
            reg [BITS*CLOCKS-1:0] line;
            always @(posedge clock) line <= {line, in};
            assign out = line[BITS*CLOCKS-1 -: BITS];
        end
    endgenerate
endmodule

module systolic #(parameter ROWS = 4, parameter COLUMNS = 4, parameter BITS = 8, parameter SUM_BITS = 32) (
    input clock,
    input load,
    input [BITS*COLUMNS-1:0] weights,        // a row of the weight tile, the last row first
    input [BITS*ROWS-1:0] pixels,            // a row of the column tile: one position
    output [SUM_BITS*COLUMNS-1:0] sums       // a row of the result
);
    // Between multipliers: pixel[r][c] enters (r, c) from the left, weight[r][c] and sum[r][c] from above.
    wire signed [BITS-1:0] pixel [0:ROWS-1][0:COLUMNS];
    wire signed [BITS-1:0] weight [0:ROWS][0:COLUMNS-1];
    wire signed [SUM_BITS-1:0] sum [0:ROWS][0:COLUMNS-1];

    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : row
            // Row r's pixels wait r clocks, until the sums have come down to it.
            delay #(BITS, r) skew (clock, pixels[BITS*r +: BITS], pixel[r][0]);
            for (c = 0; c < COLUMNS; c = c + 1) begin : column
                multiplier #(BITS, SUM_BITS) at (
                    clock, load, weight[r][c], pixel[r][c], sum[r][c], weight[r+1][c], pixel[r][c+1], sum[r+1][c]
                );
            end
        end
        for (c = 0; c < COLUMNS; c = c + 1) begin : edges
            assign weight[0][c] = weights[BITS*c +: BITS];
            assign sum[0][c] = 0;
            // Column c's sums wait for those of the last column.
            delay #(SUM_BITS, COLUMNS - 1 - c) level (clock, sum[ROWS][c], sums[SUM_BITS*c +: SUM_BITS]);
        end
    endgenerate
endmodule
