import { Allow, IsInt, IsOptional, IsString, Length, Max, Min } from 'class-validator';

/** Longest name of a group or key in characters; the gate checks bytes too. */
const MAX_NAME = 128;

export class SlowDto {
  /** Milliseconds until the answer. */
  @IsInt()
  @Min(0)
  @Max(600_000)
  ms!: number;
}

export class FailDto {
  /** The code to fail with; without it a plain error is thrown. */
  @IsOptional()
  @IsString()
  @Length(1, 64)
  code?: string;
}

export class CountDto {
  @IsInt()
  @Min(0)
  @Max(1_000_000_000)
  n!: number;

  /** Milliseconds before each item; without it items come as fast as they are pulled. */
  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(600_000)
  everyMs?: number;

  /** Bytes that each item carries in addition. */
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(2_000_000)
  pad?: number;
}

export class StreamFailDto {
  /** Items before the error. */
  @IsInt()
  @Min(0)
  @Max(1_000_000)
  after!: number;
}

export class AskDto {
  @IsString()
  @Length(1, MAX_NAME)
  topic!: string;

  /** Any JSON value. */
  @Allow()
  body?: unknown;

  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(600_000)
  timeoutMs?: number;
}

export class RefreshDto {
  @IsString()
  @Length(1, 8_192)
  token!: string;
}

export class SessionSetDto {
  @IsString()
  @Length(1, MAX_NAME)
  key!: string;

  /** Any JSON value. */
  @Allow()
  value!: unknown;
}

export class FanDto {
  @IsString()
  @Length(1, MAX_NAME)
  group!: string;
}

export class FanOutDto extends FanDto {
  @Allow()
  data!: unknown;
}
