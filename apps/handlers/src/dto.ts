import { Allow, IsInt, IsOptional, IsString, Length, Max, MaxLength, Min } from 'class-validator';

/** How long a text of the chat may be, in characters. */
const MAX_TEXT = 4_000;
/** Longest name or room in characters; the gate checks bytes too. */
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

export class RefreshDto {
  @IsString()
  @Length(1, 8_192)
  token!: string;
}

export class LoginDto {
  @IsString()
  @Length(1, MAX_NAME)
  name!: string;
}

export class RoomDto {
  @IsString()
  @Length(1, MAX_NAME)
  room!: string;
}

export class SayDto extends RoomDto {
  @IsString()
  @MaxLength(MAX_TEXT)
  text!: string;
}

export class WhisperDto {
  @IsString()
  @Length(1, MAX_NAME)
  to!: string;

  @IsString()
  @MaxLength(MAX_TEXT)
  text!: string;
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
