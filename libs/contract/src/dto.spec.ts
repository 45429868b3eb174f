import { describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import { IsInt, IsString, Length, ValidateNested } from 'class-validator';
import { dto } from './dto.js';

class Item {
  @IsInt()
  count!: number;
}

class Order {
  @IsString()
  @Length(1, 5)
  name!: string;

  @ValidateNested({ each: true })
  @Type(() => Item)
  items!: Item[];

  get total(): number {
    return this.items.reduce((sum, { count }) => sum + count, 0);
  }
}

describe('dto', () => {
  const validate = (value: unknown, options?: Parameters<typeof dto>[1]) =>
    dto(Order, options)['~standard'].validate(value);
  const fine = { name: 'tea', items: [{ count: 1 }, { count: 2 }] };

  it('gives an instance of the class', async () => {
    const result = await validate(fine);
    expect(result).toEqual({ value: expect.any(Order) });
    expect('value' in result && result.value.total).toBe(3);
  });

  it('tells what is wrong, and where', async () => {
    expect(await validate({ name: 1, items: [{ count: 1 }, { count: 'x' }] })).toEqual({
      issues: [
        { path: ['name'], message: 'name must be longer than or equal to 1 and shorter than or equal to 5 characters' },
        { path: ['name'], message: 'name must be a string' },
        { path: ['items', '1', 'count'], message: 'count must be an integer number' },
      ],
    });
  });

  it.each([undefined, null, 'text', 1, [fine]])('refuses %j, which is no object', async value => {
    expect(await validate(value)).toEqual({ issues: [{ message: 'must be an object' }] });
  });

  it('takes the options of class-validator and class-transformer', async () => {
    const more = { ...fine, extra: 1 };
    expect(await validate(more)).toEqual({ value: expect.objectContaining({ extra: 1 }) });
    expect(await validate(more, { whitelist: true })).toEqual({ value: expect.not.objectContaining({ extra: 1 }) });
    expect(await validate(more, { whitelist: true, forbidNonWhitelisted: true })).toEqual({
      issues: [{ path: ['extra'], message: 'property extra should not exist' }],
    });
    const texts = { name: 'tea', items: [{ count: '2' }] };
    expect(await validate(texts, { transform: { enableImplicitConversion: true } })).toMatchObject({
      value: { items: [{ count: 2 }] },
    });
  });

  it('leaves prototypes alone', async () => {
    const result = await validate(JSON.parse('{"name":"tea","items":[],"__proto__":{"isAdmin":true}}'));
    expect('value' in result && (result.value as unknown as { isAdmin?: boolean }).isAdmin).toBeUndefined();
    expect('value' in result && Object.getPrototypeOf(result.value)).toBe(Order.prototype);
  });
});
